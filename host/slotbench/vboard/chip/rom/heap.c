/* A heap: blocks with a header of two words, first fit, free neighbours joined when memory is asked for. */
#include "rom.h"

struct block {
    u32 bytes;                          /* of what follows the header */
    u32 used;
};

static u8 *start, *end;

static struct block *next_block(struct block *block)
{
    return (struct block *)((u8 *)(block + 1) + block->bytes);
}

/* Memory from `from` to `to`, both multiples of 4. */
void mem_init(u8 *from, u8 *to)
{
    struct block *all = (struct block *)from;

    start = from;
    end = to;
    all->bytes = (u32)(to - from) - sizeof *all;
    all->used = 0;
}

/* What is behind a block's first bytes becomes a block of its own, when there is room for one. */
static void split_block(struct block *block, u32 bytes)
{
    struct block *rest;

    if (block->bytes < bytes + 2 * sizeof *block)
        return;
    rest = (struct block *)((u8 *)(block + 1) + bytes);
    rest->bytes = block->bytes - bytes - sizeof *rest;
    rest->used = 0;
    block->bytes = bytes;
}

void *mem_malloc(size_t bytes)
{
    struct block *block = (struct block *)start;

    bytes = (bytes + 3) & ~3u;
    for (; start != NULL && (u8 *)block < end; block = next_block(block)) {
        if (block->used)
            continue;
        while ((u8 *)next_block(block) < end && !next_block(block)->used)
            block->bytes += next_block(block)->bytes + sizeof *block;
        if (block->bytes >= bytes) {
            split_block(block, bytes);
            block->used = 1;
            return block + 1;
        }
    }
    return NULL;
}

void mem_free(void *memory)
{
    if (memory)
        ((struct block *)memory)[-1].used = 0;
}

void *mem_zalloc(size_t bytes)
{
    void *memory = mem_malloc(bytes);

    return memory ? memset(memory, 0, bytes) : NULL;
}

void *mem_calloc(size_t count, size_t bytes)
{
    return mem_zalloc(count * bytes);
}

/* Make a block smaller in its place. */
void *mem_trim(void *memory, size_t bytes)
{
    if (memory)
        split_block((struct block *)memory - 1, (bytes + 3) & ~3u);
    return memory;
}

void *mem_realloc(void *memory, size_t bytes)
{
    void *moved = mem_malloc(bytes);
    u32 before = memory ? ((struct block *)memory)[-1].bytes : 0;

    if (moved == NULL)
        return NULL;
    memcpy(moved, memory, before < bytes ? before : bytes);
    mem_free(memory);
    return moved;
}
