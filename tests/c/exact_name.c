/* The archive has exactly the name that was given, whatever it looks like. */
#include "harness.h"

int main(void) {
    static const char *const NAMES[] = {"v1.2", "plain", "x.znippy.bak", ".hidden", "caf\xe9", "two words.tar"};
    struct path tree = in_scratch("tree");
    size_t count = sizeof NAMES / sizeof NAMES[0];
    make_dir(tree.text);
    write_string(join(tree.text, "file").text, "bytes\n");
    for (size_t i = 0; i < count; i++) {
        pack(tree.text, in_scratch(NAMES[i]).text);
        znippy_reader_free(open_reader(in_scratch(NAMES[i]).text));
    }
    CHECK(count_names(scratch()) == count + 1);
    return 0;
}
