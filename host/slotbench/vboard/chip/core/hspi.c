/* The SPI controller at 0x60000100 that programs use, as master: what it sends, and what comes back. */
#include "chip.h"

enum {
    CMD = 0x0, CLOCK = 0x18, USER = 0x1C, USER1 = 0x20, W0 = 0x40, DATA_BYTES = 64,
    START = 1 << 18, DUPLEX = 1, READ_BIG = 1 << 10, WRITE_BIG = 1 << 11, MOSI = 1 << 27, MISO = 1 << 28,
    APB_TICKS = CHIP_TICKS_PER_US / 80
};

static u32 reg(const struct chip *c, u32 at)
{
    return c->io[(0x100 + at) / 4];
}

static u32 ticks_per_bit(const struct chip *c)
{
    u32 clock = reg(c, CLOCK);

    return clock >> 31 ? APB_TICKS : ((clock >> 18 & 0x1FFF) + 1) * ((clock >> 12 & 0x3F) + 1) * APB_TICKS;
}

/* Where byte `i` of a transfer lies in the data words. */
static u32 place(u32 i, u32 big)
{
    return big ? (i & ~3u) | (3 - (i & 3)) : i;
}

static void transfer(struct chip *c)
{
    u32 user = reg(c, USER), out_bits = (reg(c, USER1) >> 17 & 0x1FF) + 1, in_bits = (reg(c, USER1) >> 8 & 0x1FF) + 1;
    u8 *data = (u8 *)&c->io[(0x100 + W0) / 4], sent[DATA_BYTES];
    u32 out = user & MOSI ? (out_bits + 7) / 8 : 0, in = user & MISO ? (in_bits + 7) / 8 : 0, bytes;

    if (user & DUPLEX)
        in = out;
    out = out < DATA_BYTES ? out : DATA_BYTES;
    in = in < DATA_BYTES ? in : DATA_BYTES;
    memcpy(sent, data, sizeof sent);
    for (u32 i = 0; i < out; i++) {
        u8 back = (u8)parts_exchange(c, sent[place(i, user & WRITE_BIG)]);
        if (user & DUPLEX)
            data[place(i, user & READ_BIG)] = back;
    }
    for (u32 i = 0; i < in && !(user & DUPLEX); i++)
        data[place(i, user & READ_BIG)] = (u8)parts_exchange(c, 0xFF);
    bytes = user & DUPLEX ? out : out + in;
    skip_to(c, now(c) + (u64)bytes * 8 * ticks_per_bit(c));
    if (now(c) >= next_event(c))
        look_around(c);
}

u32 hspi_read(struct chip *c, u32 at)
{
    return at == CMD ? 0 : reg(c, at);
}

void hspi_write(struct chip *c, u32 at, u32 value)
{
    c->io[(0x100 + at) / 4] = value;
    if (at == CMD && value & START)
        transfer(c);
}
