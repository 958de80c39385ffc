/* The CPU's special registers, as functions. */
#ifndef TWOSLOT_ROM_SPECIAL_H
#define TWOSLOT_ROM_SPECIAL_H

#include "rom.h"

#define READ_SPECIAL(name) \
    ({ u32 value_; __asm__ volatile("rsr %0, " #name : "=r"(value_) : : "memory"); value_; })
#define WRITE_SPECIAL(name, value) \
    __asm__ volatile("wsr %0, " #name "\n\trsync" : : "r"((u32)(value)) : "memory")

static inline u32 set_interrupt_level_3(void)
{
    u32 ps;

    __asm__ volatile("rsil %0, 3" : "=r"(ps) : : "memory");
    return ps;
}

#endif
