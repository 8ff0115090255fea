#include "assets.h"

/* A library needs something of its own. */
size_t carried(void) { return (size_t)(assets_end - assets_begin); }
