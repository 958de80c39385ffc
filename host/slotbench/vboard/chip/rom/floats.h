/* Words of a double word, and shifts that keep what they lose in the last bit. */
#ifndef TWOSLOT_ROM_FLOATS_H
#define TWOSLOT_ROM_FLOATS_H

#include "rom.h"

static inline u32 high_word(u64 value)
{
    return (u32)(value >> 32);
}

static inline u32 low_word(u64 value)
{
    return (u32)value;
}

static inline u64 multiply_words(u32 a, u32 b)
{
    return (u64)a * b;
}

/* The last bit tells whether any 1 was shifted out. */
static inline u32 shift_right_sticky(u32 value, u32 shift)
{
    if (shift == 0)
        return value;
    if (shift > 31)
        return value != 0;
    return value >> shift | (value << (32 - shift) != 0);
}

static inline u64 shift_right_sticky_64(u64 value, u32 shift)
{
    if (shift == 0)
        return value;
    if (shift > 63)
        return value != 0;
    return value >> shift | (value << (64 - shift) != 0);
}

/* How many bits are zero before the first 1; the value is not zero. */
static inline u32 leading_zeros_64(u64 value)
{
    return high_word(value) ? (u32)__builtin_clz(high_word(value)) : 32 + (u32)__builtin_clz(low_word(value));
}

#endif
