/* The C library's rand(): a linear congruential generator. */
#include "rom.h"

static u32 state = 1;

void srand(u32 seed)
{
    state = seed;
}

int rand(void)
{
    state = state * 1103515245u + 12345u;
    return (int)(state >> 1 & 0x7FFFFFFF);
}
