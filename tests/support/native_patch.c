/* Calls update() of device/native/patch.c for whoever writes to its standard input. The buffers are no longer than the caller says,
 * so a sanitizer sees each access outside of them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "patch.h"

enum { BYTES = 512 };

static void *take(size_t size)
{
    void *made = malloc(size ? size : 1);
    if (!made || fread(made, 1, size, stdin) != size)
        exit(size && made && feof(stdin) ? 0 : 1);
    return made;
}

int main(void)
{
    for (;;) {
        u32 *sizes = take(2 * sizeof(u32)); /* of the numbers, and of the data */
        struct numbers *numbers = take(sizes[0]);
        u8 *piece = take(BYTES), *chunk = take(BYTES), *data = take(sizes[1]);
        i32 result = update(numbers, piece, chunk, data);
        fwrite(&result, sizeof result, 1, stdout);
        fwrite(numbers, 1, sizes[0], stdout);
        fwrite(piece, 1, BYTES, stdout);
        fwrite(chunk, 1, BYTES, stdout);
        fflush(stdout);
        free(sizes);
        free(numbers);
        free(piece);
        free(chunk);
        free(data);
    }
}
