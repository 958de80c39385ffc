/* Interrupts of level 1 and the tables of handlers.
 *
 * While a handler runs, INTENABLE has no other interrupt of level 1: ets_intr_unlock() in a handler, which opens all levels,
 * nests nothing. What is enabled is kept in `enabled`, and INTENABLE follows it.
 */
#include "special.h"

#define INTERRUPTS 15
#define LEVEL_1 0x3FFFu

#define EXCEPTIONS 64
#define EXCEPTION_TABLE ((void **)0x3FFFC000)
#define C_HANDLER_TABLE ((void **)0x3FFFC100)

void _xtos_unhandled_exception(void);
void _xtos_unhandled_interrupt(void *argument);
void _xtos_p_none(void);
void _xtos_c_wrapper_handler(void);
void _xtos_l1int_handler(void);
void _xtos_syscall_handler(void);

static struct {
    handler *function;
    void *argument;
} handlers[INTERRUPTS];
static u32 enabled, allowed;

static void change_enabled(u32 off, u32 on)
{
    u32 ps = set_interrupt_level_3();

    enabled = (enabled & ~off) | on;
    WRITE_SPECIAL(intenable, enabled & allowed);
    WRITE_SPECIAL(ps, ps);
}

void _xtos_ints_on(u32 mask)
{
    change_enabled(0, mask);
}

void _xtos_ints_off(u32 mask)
{
    change_enabled(mask, 0);
}

void ets_isr_unmask(u32 mask)
{
    change_enabled(0, mask);
}

void ets_isr_mask(u32 mask)
{
    change_enabled(mask, 0);
}

/* The mask of what may interrupt; the one before. */
u32 _xtos_set_vpri(u32 mask)
{
    u32 ps = set_interrupt_level_3(), before = allowed;

    allowed = mask;
    WRITE_SPECIAL(intenable, enabled & allowed);
    WRITE_SPECIAL(ps, ps);
    return before;
}

/* The function before, or none. */
void *_xtos_set_interrupt_handler_arg(u32 number, handler *function, void *argument)
{
    handler *before;

    if (number >= INTERRUPTS)
        return NULL;
    before = handlers[number].function;
    handlers[number].function = function ? function : _xtos_unhandled_interrupt;
    handlers[number].argument = argument;
    return before == _xtos_unhandled_interrupt ? NULL : (void *)before;
}

void *_xtos_set_interrupt_handler(u32 number, handler *function)
{
    return _xtos_set_interrupt_handler_arg(number, function, (void *)number);
}

void ets_isr_attach(u32 number, handler *function, void *argument)
{
    _xtos_set_interrupt_handler_arg(number, function, argument);
}

/* Called with all of level 1 held. The highest number goes first. */
void dispatch_interrupts(void)
{
    u32 pending;

    while ((pending = READ_SPECIAL(interrupt) & enabled & allowed & LEVEL_1) != 0) {
        u32 number = 31 - (u32)__builtin_clz(pending), before = _xtos_set_vpri(~LEVEL_1);

        WRITE_SPECIAL(intclear, 1u << number);
        handlers[number].function(handlers[number].argument);
        _xtos_set_vpri(before);
    }
}

/* A C function for an exception: handler(frame, cause). The one before, or none. */
void *_xtos_set_exception_handler(u32 cause, void *function)
{
    void *before;

    if (cause >= EXCEPTIONS)
        return NULL;
    if (function == NULL)
        function = (void *)_xtos_p_none;
    before = C_HANDLER_TABLE[cause];
    EXCEPTION_TABLE[cause] =
        function == (void *)_xtos_p_none ? (void *)_xtos_unhandled_exception : (void *)_xtos_c_wrapper_handler;
    C_HANDLER_TABLE[cause] = function;
    return before == (void *)_xtos_p_none ? NULL : before;
}

void interrupts_reset(void)
{
    for (u32 i = 0; i < EXCEPTIONS; i++) {
        EXCEPTION_TABLE[i] = (void *)_xtos_unhandled_exception;
        C_HANDLER_TABLE[i] = (void *)_xtos_p_none;
    }
    EXCEPTION_TABLE[1] = (void *)_xtos_syscall_handler;
    EXCEPTION_TABLE[4] = (void *)_xtos_l1int_handler;
    for (u32 i = 0; i < INTERRUPTS; i++)
        handlers[i].function = _xtos_unhandled_interrupt;
    allowed = ~0u;
}
