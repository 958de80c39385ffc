/* Timers in milliseconds on the free-running counter FRC2, in a list ordered by when they are due. */
#include "special.h"

#define FRC2_COUNT REG(0x60000624)
#define FRC2_CONTROL REG(0x60000628)
#define FRC2_LOAD REG(0x60000620)
#define FRC2_ALARM REG(0x60000630)

enum { FRC2_INTERRUPT = 10, FRC2_EDGE = 1 << 2, RUN = 1 << 7, BY_256 = 2 << 2, TIMER_PRIORITY = 31, TIMER_EVENTS = 4 };

struct timer {
    struct timer *next;
    u32 expire, period;
    handler *function;
    void *argument;
};

/* In the list's place a timer that is not armed has this. */
#define NOT_ARMED ((struct timer *)~0u)

u32 _ets_task(void (*function)(void *), u32 priority, void *events, u32 size);
u32 _ets_post(u32 priority, u32 signal, u32 parameter);

/* Public address of the queue: 0x3FFFDDC0. */
extern u32 timer_events[2 * TIMER_EVENTS];
static struct timer *first;

static u32 ticks_of_ms(u32 ms)
{
    return ms * (ets_get_cpu_frequency() * 1000 / 256);
}

static void set_alarm(void)
{
    if (first)
        FRC2_ALARM = first->expire;
}

void timer_insert(u32 expire, struct timer *timer)
{
    struct timer **link = &first;

    while (*link && (int)(expire - (*link)->expire) >= 0)
        link = &(*link)->next;
    timer->expire = expire;
    timer->next = *link;
    *link = timer;
    set_alarm();
}

void ets_timer_disarm(struct timer *timer)
{
    u32 ps = set_interrupt_level_3();

    for (struct timer **link = &first; *link; link = &(*link)->next)
        if (*link == timer) {
            *link = timer->next;
            break;
        }
    timer->next = NOT_ARMED;
    timer->period = 0;
    set_alarm();
    WRITE_SPECIAL(ps, ps);
}

void ets_timer_arm(struct timer *timer, u32 ms, u32 repeat)
{
    u32 ps;

    ets_timer_disarm(timer);
    ps = set_interrupt_level_3();
    timer->period = repeat ? ticks_of_ms(ms) : 0;
    timer_insert(FRC2_COUNT + ticks_of_ms(ms), timer);
    WRITE_SPECIAL(ps, ps);
}

void ets_timer_setfn(struct timer *timer, handler *function, void *argument)
{
    timer->function = function;
    timer->argument = argument;
    timer->next = NOT_ARMED;
}

void ets_timer_done(struct timer *timer)
{
    timer->function = NULL;
    timer->argument = NULL;
}

/* Run what is due. */
void ets_timer_handler_isr(void)
{
    u32 ps = set_interrupt_level_3();

    while (first && (int)(FRC2_COUNT - first->expire) >= 0) {
        struct timer *timer = first;

        first = timer->next;
        timer->next = NOT_ARMED;
        if (timer->period)
            timer_insert(timer->expire + timer->period, timer);
        WRITE_SPECIAL(ps, ps);
        timer->function(timer->argument);
        ps = set_interrupt_level_3();
    }
    set_alarm();
    WRITE_SPECIAL(ps, ps);
}

static void timer_task(void *event)
{
    (void)event;
    ets_timer_handler_isr();
}

static void timer_interrupt(void *argument)
{
    (void)argument;
    _ets_post(TIMER_PRIORITY, 0, 0);
}

void _ets_timer_init(void)
{
    first = NULL;
    _ets_task(timer_task, TIMER_PRIORITY, timer_events, TIMER_EVENTS);
    ets_isr_attach(FRC2_INTERRUPT, timer_interrupt, NULL);
    DPORT_EDGE_INTERRUPTS |= FRC2_EDGE;
    ets_isr_unmask(1 << FRC2_INTERRUPT);
    FRC2_ALARM = 0;
    FRC2_CONTROL = RUN | BY_256;
    FRC2_LOAD = 0;
}
