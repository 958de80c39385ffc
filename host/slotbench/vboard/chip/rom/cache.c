/* The cache through which flash is seen at 0x40200000. */
#include "rom.h"

#define SPI_CONTROL REG(0x60000208)
#define SPI_STATE REG(0x600002F8)

enum { FLUSH = 1 << 0, FLUSHED = 1 << 1, CACHE_ON = 1 << 8, MAP_HALVES = 7 << 16, MAP_BITS = 3 << 24, WIDE = 1 << 26 };
enum { SPI_SERVES_CACHE = 1 << 17, IRAM_GIVEN_16K = 1 << 4, IRAM_GIVEN_32K = 1 << 3 | 1 << 4 };

void Cache_Read_Disable(void)
{
    DPORT_CACHE &= ~(u32)CACHE_ON;
    while (SPI_STATE & 7)
        ;
    SPI_CONTROL &= ~(u32)SPI_SERVES_CACHE;
}

/* Map megabyte 2 * half + odd. The cache takes the upper 16 KB of instruction RAM, the upper 32 KB with size 1. */
void Cache_Read_Enable(u32 odd, u32 half, u32 size)
{
    u32 map = odd == 0 ? 0 : odd == 1 ? 1u << 25 : 1u << 24;

    Cache_Read_Disable();
    DPORT_CACHE &= ~(u32)FLUSH;
    DPORT_CACHE |= FLUSH;
    while (!(DPORT_CACHE & FLUSHED))
        ;
    DPORT_CACHE &= ~(u32)FLUSH;
    DPORT_CACHE = (DPORT_CACHE & ~(u32)(MAP_BITS | MAP_HALVES | WIDE)) | map | (half & 7) << 16 | (size ? WIDE : 0);
    DPORT_IRAM_BANKS |= size ? IRAM_GIVEN_32K : IRAM_GIVEN_16K;
    SPI_CONTROL |= SPI_SERVES_CACHE;
    DPORT_CACHE |= CACHE_ON;
}
