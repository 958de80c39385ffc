/* Chains of DMA descriptors, as the public header lldesc.h of Espressif's chips has them. */
#include "rom.h"

struct descriptor {
    u32 size : 12, length : 12, offset : 5, start : 1, end : 1, owner : 1;
    u8 *buffer;
    struct descriptor *next;
};

/* A descriptor for each whole `block` of the buffer, as long as there are descriptors; the last one has no next. */
void lldesc_build_chain(
    struct descriptor *chain, u32 chain_bytes, u8 *buffer, u32 buffer_bytes, u32 block, u32 owner, struct descriptor **head,
    struct descriptor **tail)
{
    struct descriptor *last = NULL;

    *head = chain;
    for (; chain_bytes >= sizeof *chain && buffer_bytes >= block; chain_bytes -= sizeof *chain, buffer_bytes -= block) {
        *chain = (struct descriptor){.size = block, .length = block, .owner = owner & 1, .buffer = buffer};
        if (last)
            last->next = chain;
        last = chain++;
        buffer += block;
    }
    if (last == NULL)
        *head = NULL;
    *tail = last;
}

/* The descriptor number `blocks` of a chain, counted from 1. */
struct descriptor *lldesc_num2link(struct descriptor *head, u32 blocks)
{
    while (head && blocks-- > 1)
        head = head->next;
    return head;
}

/* Give the first `blocks` descriptors to hardware (1) or software (0); the last of them. */
struct descriptor *lldesc_set_owner(struct descriptor *head, u32 blocks, u32 owner)
{
    while (head) {
        head->owner = owner & 1;
        if (blocks-- <= 1)
            break;
        head = head->next;
    }
    return head;
}
