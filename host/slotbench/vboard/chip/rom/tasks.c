/* Tasks: a queue of events for each priority, run one event at a time, the highest priority first. */
#include "special.h"

enum { PRIORITIES = 32 };

struct event {
    u32 signal, parameter;
};
typedef void task(struct event *event);

struct queue {
    task *function;
    struct event *events;
    u8 size, used, get, put;
};

static struct queue queues[PRIORITIES];
static handler *idle;
static void *idle_argument;

/* The public name of no table: MicroPython clears this byte before it runs tasks of its own. */
extern volatile u8 running_priority;

u32 _ets_task(task *function, u32 priority, struct event *events, u32 size)
{
    if (priority >= PRIORITIES)
        return FAIL;
    queues[priority] = (struct queue){.function = function, .events = events, .size = (u8)size};
    return OK;
}

/* 0, or 1 when the queue is full. Interrupts are as before. */
u32 _ets_post(u32 priority, u32 signal, u32 parameter)
{
    struct queue *queue = queues + (priority & (PRIORITIES - 1));
    u32 ps = set_interrupt_level_3(), result = FAIL;

    if (queue->used < queue->size) {
        queue->events[queue->put] = (struct event){signal, parameter};
        queue->put = queue->put + 1 == queue->size ? 0 : (u8)(queue->put + 1);
        queue->used++;
        result = OK;
    }
    WRITE_SPECIAL(ps, ps);
    return result;
}

void _ets_set_idle_cb(handler *function, void *argument)
{
    idle = function;
    idle_argument = argument;
}

static struct queue *next_queue(void)
{
    for (u32 priority = PRIORITIES; priority-- > 0;)
        if (queues[priority].used > 0) {
            running_priority = (u8)priority;
            return queues + priority;
        }
    return NULL;
}

/* Never returns. Without an event: the idle function, then sleep until an interrupt. */
void _ets_run(void)
{
    for (;;) {
        struct queue *queue;
        struct event *event;

        ets_intr_lock();
        queue = next_queue();
        if (queue == NULL) {
            if (idle)
                idle(idle_argument);
            __asm__ volatile("waiti 0");
            continue;
        }
        event = queue->events + queue->get;
        queue->get = queue->get + 1 == queue->size ? 0 : (u8)(queue->get + 1);
        queue->used--;
        ets_intr_unlock();
        queue->function(event);
    }
}
