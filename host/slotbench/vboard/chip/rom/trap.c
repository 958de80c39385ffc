/* Documented entries that this ROM does not have: they say so and stop. */
#include "rom.h"

/* Each entry calls this; its name follows the call in the ROM, where only words can be read. */
void rom_trap(const u32 *name, u32 caller)
{
    ets_install_uart_printf();
    ets_printf("\ntwoslot rom: no ");
    for (;; name++)
        for (u32 i = 0; i < 32; i += 8) {
            char character = (char)(*name >> i);

            if (character == 0) {
                ets_printf(" (called from 0x%08x)\n", caller);
                for (;;)
                    __asm__ volatile("waiti 3");
            }
            ets_putc(character);
        }
}
