/* GPIO pins 0 to 15. */
#include "special.h"

enum { GPIO_INTERRUPT = 4, PIN_TYPE = 7 << 7, PIN_WAKES = 1 << 10, LEVEL_LOW = 4, LEVEL_HIGH = 5 };

static void (*interrupt_function)(u32 pending, void *argument);
static void *interrupt_argument;

void gpio_init(void)
{
    interrupt_function = NULL;
}

void gpio_output_set(u32 set, u32 clear, u32 enable, u32 disable)
{
    GPIO_OUT_SET = set;
    GPIO_OUT_CLEAR = clear;
    GPIO_ENABLE_SET = enable;
    GPIO_ENABLE_CLEAR = disable;
}

u32 gpio_input_get(void)
{
    return GPIO_IN & 0xFFFF;
}

/* Registers by number. */
void gpio_register_set(u32 number, u32 value)
{
    REG(0x60000300 + number) = value;
}

u32 gpio_register_get(u32 number)
{
    return REG(0x60000300 + number);
}

u32 gpio_intr_pending(void)
{
    return GPIO_STATUS & 0xFFFF;
}

void gpio_intr_ack(u32 mask)
{
    GPIO_STATUS_CLEAR = mask;
}

void gpio_pin_intr_state_set(u32 pin, u32 state)
{
    u32 ps = set_interrupt_level_3();

    GPIO_PIN(pin) = (GPIO_PIN(pin) & ~(u32)PIN_TYPE) | (state & 7) << 7;
    WRITE_SPECIAL(ps, ps);
}

static void gpio_interrupt(void *argument)
{
    (void)argument;
    if (interrupt_function)
        interrupt_function(gpio_intr_pending(), interrupt_argument);
}

void gpio_intr_handler_register(void (*function)(u32, void *), void *argument)
{
    interrupt_function = function;
    interrupt_argument = argument;
    ets_isr_attach(GPIO_INTERRUPT, gpio_interrupt, NULL);
}

/* Whether a pin has something pending. */
u32 gpio_intr_test(u32 pin)
{
    return GPIO_STATUS >> pin & 1;
}

/* Wake from light sleep by a level. */
void gpio_pin_wakeup_enable(u32 pin, u32 state)
{
    if (state != LEVEL_LOW && state != LEVEL_HIGH)
        return;
    GPIO_PIN(pin) = (GPIO_PIN(pin) & ~(u32)PIN_TYPE) | state << 7 | PIN_WAKES;
}

void gpio_pin_wakeup_disable(void)
{
    for (u32 pin = 0; pin < 16; pin++)
        GPIO_PIN(pin) &= ~(u32)PIN_WAKES;
}
