/* The debugger's side of memory, and the flash as the host attaches it. */
#include <stdlib.h>

#include "chip.h"

int chip_flash_attach(struct chip *c, u32 bytes, u32 jedec_id, const struct chip_flash_calls *calls, void *host)
{
    u32 room = bytes < MEGABYTE ? MEGABYTE : bytes;

    if (bytes < 0x40000 || bytes & (bytes - 1) || bytes > MEGABYTES * MEGABYTE || c->flash_mem)
        return -1;
    c->flash_mem = malloc(room);
    if (!c->flash_mem)
        return -1;
    memset(c->flash_mem, 0xFF, room);
    c->flash_bytes = bytes;
    c->flash_room = room;
    c->jedec_id = jedec_id;
    c->flash_calls = *calls;
    c->flash_host = host;
    bus_map(c);
    return 0;
}

/* A flash of less than a megabyte shows itself again in the rest of the window. */
void chip_flash_update(struct chip *c, u32 offset, const void *data, u32 bytes)
{
    if (!c->flash_mem || offset > c->flash_bytes || bytes > c->flash_bytes - offset)
        return;
    for (u32 at = offset; at < c->flash_room; at += c->flash_bytes) {
        memcpy(c->flash_mem + at, data, bytes);
        for (u32 done = 0; done < bytes;) {
            u32 place = at + done, room = MEGABYTE - place % MEGABYTE, part = bytes - done < room ? bytes - done : room;
            forget_code(c, &c->flash[place / MEGABYTE], place % MEGABYTE, part);
            done += part;
        }
    }
}

void chip_flash_slow_reads(struct chip *c, int on)
{
    c->flash_slow = on;
}

int chip_load(struct chip *c, u32 address, const void *data, u32 bytes)
{
    return chip_write(c, address, data, bytes);
}

/* A register as a program would read it, if reading it changes nothing. */
static u32 seen(struct chip *c, u32 address, u32 stored)
{
    u32 at = (address - IO_BASE) & ~3u;

    if (at < IO_BYTES && io_read_is_pure(at))
        return io_read(c, at);
    at = (address - DPORT_BASE) & ~3u;
    return at < DPORT_BYTES && dport_read_is_pure(at) ? dport_read(c, at) : stored;
}

static int registers(struct chip *c, u32 address, u32 **word)
{
    if (address - IO_BASE < IO_BYTES)
        *word = &c->io[(address - IO_BASE) / 4];
    else if (address - DPORT_BASE < DPORT_BYTES)
        *word = &c->dport[(address - DPORT_BASE) / 4];
    else
        return 0;
    return 1;
}

int chip_read(struct chip *c, u32 address, void *to, u32 bytes)
{
    u8 *out = to, *mem;
    struct region *g;
    u32 room, *word;

    while (bytes) {
        mem = bus_memory(c, address, &room, &g);
        if (mem) {
            room = room < bytes ? room : bytes;
            memcpy(out, mem, room);
        } else if (registers(c, address, &word)) {
            *out = (u8)(seen(c, address, *word) >> (address & 3) * 8);
            room = 1;
        } else {
            return -1;
        }
        address += room, out += room, bytes -= room;
    }
    return 0;
}

int chip_write(struct chip *c, u32 address, const void *from, u32 bytes)
{
    const u8 *in = from;
    u8 *mem;
    struct region *g;
    u32 room, *word, shift;

    while (bytes) {
        mem = bus_memory(c, address, &room, &g);
        if (mem && address - WINDOW_BASE >= MEGABYTE) {
            room = room < bytes ? room : bytes;
            memcpy(mem, in, room);
            if (g)
                forget_code(c, g, address - g->pc, room);
        } else if (registers(c, address, &word)) {
            shift = (address & 3) * 8;
            *word = (*word & ~(0xFFu << shift)) | (u32)*in << shift;
            room = 1;
        } else {
            return -1;
        }
        address += room, in += room, bytes -= room;
    }
    return 0;
}

void chip_scratch(struct chip *c, int on)
{
    if (on && !c->scratch) {
        c->scratch = calloc(1, SCRATCH_BYTES);
    } else if (!on) {
        free(c->scratch);
        c->scratch = NULL;
    }
}
