/* The memory map and its rules: who answers where, to which widths, and what an access to nothing ends in.
 *
 * Data RAM takes bytes and halfwords; ROM, instruction RAM and the flash window take aligned words only, the last two
 * while they are mapped. Registers take any width.
 */
#include "chip.h"

enum { HYPERCALL = 0xFE00, WDT_FEED = 0x914 };

u32 fetch_cause(u32 pc)
{
    return pc - 0x20000000u < 0x60000000u ? EXC_FETCH : EXC_FETCH_PROHIBITED;
}

static int fault(struct chip *c, u32 cause, u32 address)
{
    c->exc_cause = cause;
    c->exc_address = address;
    return BUS_FAULT;
}

/* Which pages of code exist: instruction RAM that is no cache, the window while the cache is on. */
void bus_map(struct chip *c)
{
    u32 banks = c->dport[0x24 / 4] >> 3 & 3, window = c->dport[0xC / 4];
    u32 iram = banks == 3 ? 0x8000 : banks ? 0xC000 : IRAM_BYTES;
    struct region *g = NULL;
    u32 megabyte;

    memset(c->page, 0, sizeof c->page);
    for (u32 at = 0; at < ROM_BYTES; at += 1 << PAGE_SHIFT)
        c->page[at >> PAGE_SHIFT] = &c->rom;
    for (u32 at = 0; at < iram; at += 1 << PAGE_SHIFT)
        c->page[(IRAM_BASE - ROM_BASE + at) >> PAGE_SHIFT] = &c->iram;
    if (c->flash_mem && window & 0x100) {
        megabyte = (2 * (window >> 16 & 7) + (window >> 24 & 3 ? 1 : 0)) % (c->flash_room / MEGABYTE);
        g = &c->flash[megabyte];
        if (!g->slots && region_init(g, c->flash_mem + (size_t)megabyte * MEGABYTE, WINDOW_BASE, MEGABYTE))
            g = NULL;
        for (u32 at = 0; at < MEGABYTE; at += 1 << PAGE_SHIFT)
            c->page[(WINDOW_BASE - ROM_BASE + at) >> PAGE_SHIFT] = g;
    }
}

/* Where an address lies in host memory, or NULL; no rules, and the window only while it is mapped. */
u8 *bus_memory(struct chip *c, u32 address, u32 *room, struct region **region)
{
    struct region *g;

    *region = NULL;
    if (address - DRAM_BASE < DRAM_BYTES) {
        *room = DRAM_BASE + DRAM_BYTES - address;
        return c->dram + (address - DRAM_BASE);
    }
    if (c->scratch && address - SCRATCH_BASE < SCRATCH_BYTES) {
        *room = SCRATCH_BASE + SCRATCH_BYTES - address;
        return c->scratch + (address - SCRATCH_BASE);
    }
    if (address - IRAM_BASE < IRAM_BYTES)
        g = &c->iram;
    else if (address - ROM_BASE < CODE_PAGES << PAGE_SHIFT)
        g = c->page[(address - ROM_BASE) >> PAGE_SHIFT];
    else
        g = NULL;
    if (!g)
        return NULL;
    *region = g;
    *room = g->pc + g->bytes - address;
    return g->mem + (address - g->pc);
}

static u32 narrow(u32 word, u32 address, u32 bytes)
{
    word >>= (address & 3) * 8;
    return bytes == 4 ? word : word & ((1u << bytes * 8) - 1);
}

static int load_scratch(struct chip *c, u32 address, u32 bytes, u32 *value)
{
    *value = 0;
    memcpy(value, c->scratch + (address - SCRATCH_BASE), bytes);
    return BUS_DONE;
}

int bus_load(struct chip *c, u32 address, u32 bytes, u32 *value)
{
    const struct region *g;

    if (address & (bytes - 1))
        return fault(c, EXC_UNALIGNED, address);
    if (address - ROM_BASE < CODE_PAGES << PAGE_SHIFT) {
        g = c->page[(address - ROM_BASE) >> PAGE_SHIFT];
        if (likely(g && bytes == 4)) {
            memcpy(value, g->mem + (address - g->pc), 4);
            return BUS_DONE;
        }
        if (g || address - IRAM_BASE < IRAM_BYTES)
            return fault(c, EXC_LOAD_STORE, address);
        if (address - WINDOW_BASE < MEGABYTE) {
            c->count.cache_off++;
            return fault(c, EXC_LOAD_STORE, address);
        }
        return fault(c, EXC_LOAD_PROHIBITED, address);
    }
    if (address - IO_BASE < IO_BYTES) {
        if (c->idle.tracing && !io_read_is_pure((address - IO_BASE) & ~3u)) {
            c->idle.dirty = 1;
            return BUS_REFUSED;
        }
        *value = narrow(io_read(c, (address - IO_BASE) & ~3u), address, bytes);
        return BUS_DONE;
    }
    if (address - DPORT_BASE < DPORT_BYTES) {
        if (c->idle.tracing && !dport_read_is_pure((address - DPORT_BASE) & ~3u)) {
            c->idle.dirty = 1;
            return BUS_REFUSED;
        }
        *value = narrow(dport_read(c, (address - DPORT_BASE) & ~3u), address, bytes);
        return BUS_DONE;
    }
    if (c->scratch && address - SCRATCH_BASE < SCRATCH_BYTES)
        return load_scratch(c, address, bytes, value);
    return fault(c, EXC_LOAD_PROHIBITED, address);
}

static u32 merged(u32 word, u32 address, u32 bytes, u32 value)
{
    u32 shift = (address & 3) * 8, mask = bytes == 4 ? ~0u : (1u << bytes * 8) - 1;

    return (word & ~(mask << shift)) | (value & mask) << shift;
}

static int store_io(struct chip *c, u32 address, u32 bytes, u32 value)
{
    u32 at = (address - IO_BASE) & ~3u;

    if (bytes != 4)
        value = merged(c->io[at / 4], address, bytes, value);
    if (c->idle.tracing) {
        if (at == WDT_FEED && value == 0x73) {
            c->idle.fed = 1;
            return BUS_DONE;
        }
        if (io_write_is_idle(c, at, value))
            return BUS_DONE;
        c->idle.dirty = 1;
        return BUS_REFUSED;
    }
    io_write(c, at, value);
    if (at == HYPERCALL)
        stop(c, CHIP_HYPERCALL, value);
    return BUS_DONE;
}

int bus_store(struct chip *c, u32 address, u32 bytes, u32 value)
{
    u32 offset = address - IRAM_BASE;

    if (address & (bytes - 1))
        return fault(c, EXC_UNALIGNED, address);
    if (address - IO_BASE < IO_BYTES)
        return store_io(c, address, bytes, value);
    if (offset < IRAM_BYTES) {
        if (bytes != 4 || !c->page[(address - ROM_BASE) >> PAGE_SHIFT])
            return fault(c, EXC_LOAD_STORE, address);
        if (c->idle.tracing) {
            c->idle.dirty = 1;
            return BUS_REFUSED;
        }
        memcpy(c->iram_mem + offset, &value, 4);
        forget_code(c, &c->iram, offset, 4);
        return BUS_DONE;
    }
    if (address - DPORT_BASE < DPORT_BYTES) {
        if (bytes != 4)
            value = merged(c->dport[(address - DPORT_BASE) / 4], address, bytes, value);
        if (c->idle.tracing) {
            if (value == c->dport[(address - DPORT_BASE) / 4])
                return BUS_DONE;
            c->idle.dirty = 1;
            return BUS_REFUSED;
        }
        dport_write(c, (address - DPORT_BASE) & ~3u, value);
        return BUS_DONE;
    }
    if (c->scratch && address - SCRATCH_BASE < SCRATCH_BYTES) {
        if (c->idle.tracing) {
            c->idle.dirty = 1;
            return BUS_REFUSED;
        }
        memcpy(c->scratch + (address - SCRATCH_BASE), &value, bytes);
        return BUS_DONE;
    }
    if (address - ROM_BASE < ROM_BYTES || address - WINDOW_BASE < MEGABYTE)
        return fault(c, EXC_LOAD_STORE, address);
    return fault(c, EXC_STORE_PROHIBITED, address);
}
