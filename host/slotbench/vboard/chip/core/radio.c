/* Registers of the peripherals: who answers which, and what the radio that is not there says: done.
 *
 * What has no model remembers what was written.
 */
#include "chip.h"

enum {
    EFUSE = 0x50, CACHE = 0xC, CLOCK = 0x14, UART_ST = 0x20, IRAM_BANKS = 0x24,
    MAC_MICROSECONDS = 0x20C00, MAC_RANDOM = 0x20E44,
    IQ_DONE = 0x57C, I2C = 0xD00, I2C_END = 0xE00, I2C_BUSY = 1 << 25
};

u32 io_read(struct chip *c, u32 at)
{
    u32 value = c->io[at / 4];

    switch (at >> 8) {
    case 0x0: return uart_read(c, 0, at & 0xFF);
    case 0x1: return hspi_read(c, at & 0xFF);
    case 0x2: return spi_read(c, at & 0xFF);
    case 0x3: return gpio_read(c, at & 0xFF);
    case 0x6: return frc_read(c, at & 0xFF);
    case 0x7: return rtc_read(c, at & 0xFF);
    case 0x9: return wdt_read(c, at & 0xFF);
    case 0xF: return uart_read(c, 1, at & 0xFF);
    default: break;
    }
    if (at == IQ_DONE)
        return value | 0x80000000u;
    if (sar_reads(c, at, &value))
        return value;
    if (at >= I2C && at < I2C_END)
        return value & ~(u32)I2C_BUSY;
    return value;
}

/* Whether reading changes nothing, so that a loop that reads it may be idle. */
int io_read_is_pure(u32 at)
{
    return at != 0 && at != 0x210 && at != 0xF00;
}

int dport_read_is_pure(u32 at)
{
    return at != MAC_RANDOM;
}

/* Whether writing this changes nothing: what is there already, to a register that only remembers; pins as they are. */
int io_write_is_idle(const struct chip *c, u32 at, u32 value)
{
    switch (at >> 8) {
    case 0x0: case 0x1: case 0x2: case 0x6: case 0x7: case 0x9: case 0xF: case 0xFE: return 0;
    case 0x3: return (at == 0x304 && !(value & ~c->gpio_out)) || (at == 0x308 && !(value & c->gpio_out));
    default: return value == c->io[at / 4];
    }
}

void io_write(struct chip *c, u32 at, u32 value)
{
    switch (at >> 8) {
    case 0x0: uart_write(c, 0, at & 0xFF, value); return;
    case 0x1: hspi_write(c, at & 0xFF, value); return;
    case 0x2: spi_write(c, at & 0xFF, value); return;
    case 0x3: gpio_write(c, at & 0xFF, value); return;
    case 0x6: frc_write(c, at & 0xFF, value); return;
    case 0x7: rtc_write(c, at & 0xFF, value); return;
    case 0x9: wdt_write(c, at & 0xFF, value); return;
    case 0xF: uart_write(c, 1, at & 0xFF, value); return;
    default: c->io[at / 4] = value; return;
    }
}

u32 dport_read(struct chip *c, u32 at)
{
    switch (at) {
    case CACHE: return c->dport[at / 4] | (c->dport[at / 4] & 1) << 1;
    case UART_ST:
        return ((c->uart[0].raw & c->uart[0].enable) ? 1u : 0) | ((c->uart[1].raw & c->uart[1].enable) ? 4u : 0);
    case MAC_MICROSECONDS: return (u32)((now(c) - c->mac_base_tick) / CHIP_TICKS_PER_US);
    case MAC_RANDOM: return next_random(c);
    default: return c->dport[at / 4];
    }
}

void dport_write(struct chip *c, u32 at, u32 value)
{
    u32 old = c->dport[at / 4];

    if (at >= EFUSE && at < EFUSE + 16)
        return;
    c->dport[at / 4] = value;
    if (at == CLOCK && (value ^ old) & 1)
        set_cpu_clock(c, value & 1 ? 1 : 2);
    if ((at == CACHE || at == IRAM_BANKS) && value != old) {
        bus_map(c);
        look_around(c);
    }
}

/* The MAC address where the SDK and esptool take it from. */
void chip_mac(struct chip *c, const u8 mac[6])
{
    c->dport[EFUSE / 4] = (u32)mac[5] << 24;
    c->dport[EFUSE / 4 + 1] = 0x02000000u | (u32)mac[3] << 8 | mac[4];
    c->dport[EFUSE / 4 + 2] = 0x0000A000u;
    c->dport[EFUSE / 4 + 3] = (u32)mac[0] << 16 | (u32)mac[1] << 8 | mac[2];
}
