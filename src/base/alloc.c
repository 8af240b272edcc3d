#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

static void *or_abort(void *memory)
{
    if (memory == NULL) {
        abort(); /* every step on disk survives a crash at any moment, so this one loses nothing */
    }
    return memory;
}

void *alloc_zeroed(size_t count, size_t size)
{
    return or_abort(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *alloc_resize(void *old, size_t count, size_t size)
{
    return or_abort(reallocarray(old, count > 0 ? count : 1, size > 0 ? size : 1));
}

char *alloc_text(const char *text)
{
    return text == NULL ? NULL : or_abort(strdup(text));
}
