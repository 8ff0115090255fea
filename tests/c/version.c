/* The version in the header, the one in the library and the one of the package are the same. */
#include "harness.h"

int main(void) {
    CHECK(znippy_version_number() == ZNIPPY_VERSION_NUMBER);
    CHECK(ZNIPPY_VERSION_NUMBER ==
          ZNIPPY_VERSION_MAJOR * 1000000 + ZNIPPY_VERSION_MINOR * 1000 + ZNIPPY_VERSION_PATCH);
    CHECK(strcmp(znippy_version_string(), ZNIPPY_VERSION_STRING) == 0);
    CHECK(strcmp(ZNIPPY_VERSION_STRING, ZNIPPY_PACKAGE_VERSION) == 0);
    CHECK(znippy_features() != 0);
    return 0;
}
