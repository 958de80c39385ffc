/* The SPI controller at 0x60000200 with the flash behind it: commands, write latch, busy time.
 *
 * Content, rules, wear and time belong to the host's flash: program and erase call it. Reads come from a copy that
 * chip_flash_update keeps, but for weak bits, which only the host can blur.
 */
#include "chip.h"

enum {
    CMD = 0x0, ADDR = 0x4, RD_STATUS = 0x10, USER = 0x1C, USER1 = 0x20, USER2 = 0x24, WR_STATUS = 0x28, W0 = 0x40,
    DATA_BYTES = 64, PAGE = 256, SECTOR = 4096, BLOCK = 65536,
    BUSY = 1, LATCH = 2,
    DATA_PER_US = 10 /* bytes over two lines at 40 MHz, after about a microsecond of command and address */
};

static u32 *reg(struct chip *c, u32 at)
{
    return &c->io[(0x200 + at) / 4];
}

static int is_busy(const struct chip *c)
{
    return now(c) < c->flash_busy_until;
}

/* What a status read answers. Somebody who asks while the part is busy waits: time goes on to the end of it, or to
 * what else is due before. */
static u32 status(struct chip *c)
{
    u64 end = c->flash_busy_until, due;

    if (is_busy(c)) {
        due = next_event(c);
        if (due < end)
            end = due;
        if (c->until < end)
            end = c->until;
        skip_to(c, end);
        look_around(c);
    }
    return c->flash_status | (is_busy(c) ? BUSY : 0);
}

static void spend(struct chip *c, u32 bytes)
{
    skip_to(c, now(c) + (1 + bytes / DATA_PER_US) * CHIP_TICKS_PER_US);
    if (now(c) >= next_event(c))
        look_around(c);
}

static void flash_read(struct chip *c, u32 offset, u8 *data, u32 bytes)
{
    if (c->flash_slow && !(offset & 3) && !(bytes & 3) && offset + bytes <= c->flash_bytes) {
        if (c->flash_calls.read(c->flash_host, offset, data, bytes))
            stop(c, CHIP_FLASH, offset);
        return;
    }
    for (u32 i = 0; i < bytes; i++)
        data[i] = c->flash_mem[(offset + i) & (c->flash_bytes - 1)];
}

/* Whether a command that changes cells is taken: the latch is set and nothing is under way. */
static int takes(struct chip *c)
{
    if (!(c->flash_status & LATCH)) {
        c->count.flash_unlatched++;
        return 0;
    }
    c->flash_status &= ~(u32)LATCH;
    return 1;
}

static void done(struct chip *c, int refused, u32 offset, u32 busy_us)
{
    c->flash_busy_until = now(c) + (u64)busy_us * CHIP_TICKS_PER_US;
    if (refused) {
        c->powered = 0;
        stop(c, CHIP_FLASH, offset);
    }
}

/* A program that runs over its page goes on at the page's start, as in the part. */
static void flash_program(struct chip *c, u32 offset, const u8 *data, u32 bytes)
{
    u32 first, busy = 0, more = 0;
    int refused;

    if (!takes(c) || !bytes)
        return;
    offset &= c->flash_bytes - 1;
    first = PAGE - offset % PAGE;
    if (first > bytes)
        first = bytes;
    refused = c->flash_calls.program(c->flash_host, offset, data, first, &busy);
    if (!refused && first < bytes)
        refused = c->flash_calls.program(c->flash_host, offset & ~(u32)(PAGE - 1), data + first, bytes - first, &more);
    done(c, refused, offset, busy + more);
}

static void flash_erase(struct chip *c, u32 offset, u32 bytes)
{
    u32 busy = 0;

    int refused;

    if (!takes(c))
        return;
    offset = offset & (c->flash_bytes - 1) & ~(bytes - 1);
    refused = c->flash_calls.erase(c->flash_host, offset, bytes, &busy);
    done(c, refused, offset, busy);
}

static void identify(struct chip *c)
{
    *reg(c, W0) = c->jedec_id;
}

/* Commands with bits of their own. Those that the part does not take while busy are counted and dropped. */
static void command(struct chip *c, u32 bits)
{
    u32 address = *reg(c, ADDR) & 0xFFFFFF, length = *reg(c, ADDR) >> 24;
    u8 *data = (u8 *)reg(c, W0);

    if (bits >> 27 & 1) {
        *reg(c, RD_STATUS) = status(c);
        return;
    }
    if (is_busy(c)) {
        c->count.flash_busy++;
        return;
    }
    if (length > DATA_BYTES)
        length = DATA_BYTES;
    if (bits >> 31) {
        flash_read(c, address, data, length);
        spend(c, length);
    } else if (bits >> 30 & 1) {
        c->flash_status |= LATCH;
    } else if (bits >> 29 & 1) {
        c->flash_status &= ~(u32)LATCH;
    } else if (bits >> 28 & 1) {
        identify(c);
    } else if (bits >> 26 & 1) {
        if (takes(c))
            c->flash_status = *reg(c, WR_STATUS) & 0xFFFC;
    } else if (bits >> 25 & 1) {
        spend(c, length);
        flash_program(c, address, data, length);
    } else if (bits >> 24 & 1) {
        flash_erase(c, address, SECTOR);
    } else if (bits >> 23 & 1) {
        flash_erase(c, address, BLOCK);
    } else if (bits >> 22 & 1) {
        flash_erase(c, 0, c->flash_bytes);
    }
}

/* What the part says of itself, as JESD216 has it: one table, at 0x80, with its erases of 4 KB and its size in bits. */
static u8 sfdp(const struct chip *c, u32 at)
{
    static const u8 head[16] = {'S', 'F', 'D', 'P', 6, 1, 0, 0xFF, 0, 6, 1, 16, 0x80, 0, 0, 0xFF};
    static const u8 erases[4] = {0xE5, 0x20, 0xF1, 0xFF};

    if (at < sizeof head)
        return head[at];
    if (at - 0x80 < 4)
        return erases[at - 0x80];
    if (at - 0x84 < 4)
        return (u8)((c->flash_bytes * 8 - 1) >> (at - 0x84) * 8);
    return 0xFF;
}

/* A command spelt out: its code in USER2, answer or data in W0 on. */
static void user_command(struct chip *c)
{
    u32 code = *reg(c, USER2) & 0xFF, mosi = ((*reg(c, USER1) >> 17 & 0x1FF) + 8) / 8;
    u32 miso = ((*reg(c, USER1) >> 8 & 0x1FF) + 8) / 8, address = *reg(c, ADDR) & 0xFFFFFF;
    u8 *data = (u8 *)reg(c, W0);

    if (mosi > DATA_BYTES)
        mosi = DATA_BYTES;
    if (miso > DATA_BYTES)
        miso = DATA_BYTES;
    if (code == 0x05) {
        *reg(c, W0) = status(c) & 0xFF;
        return;
    }
    if (is_busy(c)) {
        c->count.flash_busy++;
        return;
    }
    switch (code) {
    case 0x9F: identify(c); break;
    case 0x35: *reg(c, W0) = c->flash_status >> 8 & 0xFF; break;
    case 0x15: *reg(c, W0) = 0; break;
    case 0x06: c->flash_status |= LATCH; break;
    case 0x04: c->flash_status &= ~(u32)LATCH; break;
    case 0x01: if (takes(c)) c->flash_status = *reg(c, W0) & (mosi > 1 ? 0xFFFC : 0xFC); break;
    case 0x31: if (takes(c)) c->flash_status = (c->flash_status & 0xFC) | (*reg(c, W0) & 0xFF) << 8; break;
    case 0x03: case 0x0B: flash_read(c, address, data, miso); spend(c, miso); break;
    case 0x02: spend(c, mosi); flash_program(c, address, data, mosi); break;
    case 0x20: flash_erase(c, address, SECTOR); break;
    case 0xD8: flash_erase(c, address, BLOCK); break;
    case 0xC7: case 0x60: flash_erase(c, 0, c->flash_bytes); break;
    case 0x5A:
        for (u32 i = 0; i < DATA_BYTES; i++)
            data[i] = sfdp(c, (*reg(c, ADDR) >> 8) + i);
        break;
    default: break;
    }
}

u32 spi_read(struct chip *c, u32 at)
{
    if (at == CMD)
        return 0;
    if (at == RD_STATUS && c->flash_mem && is_busy(c))
        return *reg(c, RD_STATUS) = status(c);
    return *reg(c, at);
}

void spi_write(struct chip *c, u32 at, u32 value)
{
    if (at != CMD) {
        *reg(c, at) = value;
        return;
    }
    if (!c->flash_mem)
        return;
    if (value >> 18 & 1)
        user_command(c);
    else
        command(c, value);
    if (c->powered)
        *reg(c, RD_STATUS) = c->flash_status | (is_busy(c) ? BUSY : 0);
}

/* The part goes on with what it does; only its latch is lost when its supply is. */
void spi_reset(struct chip *c)
{
    c->flash_status &= 0xFFFC;
}
