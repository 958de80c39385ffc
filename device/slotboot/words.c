/* Memory by words. `bytes` is a multiple of 4 above 0. */
#include "slotboot.h"

__attribute__((noinline)) void copy(word *to, const word *from, u32 bytes)
{
    do {
        *to++ = *from++;
    } while (bytes -= WORD);
}

__attribute__((noinline)) u32 differs(const word *one, const word *other, u32 bytes)
{
    u32 bits = 0;

    do {
        bits |= *one++ ^ *other++;
    } while (bytes -= WORD);
    return bits;
}
