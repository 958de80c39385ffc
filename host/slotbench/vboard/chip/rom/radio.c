/* The radio's part of the ROM: nothing. Firmware gets a table of functions, changes some of them, and calls all of them. */
#include "rom.h"

enum { FUNCTIONS = 100 };

/* Public address: 0x3FFFC734. */
extern void *radio_functions[FUNCTIONS];

u32 radio_nothing(void)
{
    return 0;
}

void radio_table_reset(void)
{
    for (u32 i = 0; i < FUNCTIONS; i++)
        radio_functions[i] = (void *)radio_nothing;
}

void **phy_get_romfuncs(void)
{
    return radio_functions;
}
