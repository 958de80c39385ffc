/* Data whose addresses are public: firmware, or the SDK's libraries, reach for them. place.py puts each at its address. */
    .macro  place name, address, bytes
    .section .ram.\address, "aw", @nobits
    .global \name
\name:
    .space  \bytes
    .endm

    place   exception_handlers, 3fffc000, 256
    place   c_handlers, 3fffc100, 256
    place   running_priority, 3fffc6fc, 1
    place   flashchip, 3fffc714, 4
    place   flashchip_values, 3fffc718, 24
    place   radio_functions, 3fffc734, 400
    place   Te0, 3fffccf0, 1024
    place   rcons, 3fffd0f0, 16
    place   Td0, 3fffd100, 1024
    place   Td4s, 3fffd500, 256
    place   sdk_buffer, 3fffdcb0, 152
    place   putc1, 3fffdd48, 4
    place   putc2, 3fffdd4c, 4
    place   timer_events, 3fffddc0, 32
    place   UartDev, 3fffde10, 68

/* The SDK's printf takes its digits from here. */
    .section .const.3fffd848, "a"
    .global lower_digits
lower_digits:
    .asciz  "0123456789abcdef"

    .section .const.3fffd85c, "a"
    .global upper_digits
upper_digits:
    .asciz  "0123456789ABCDEF"

    .section .const.3fffd870, "a"
    .global null_text
null_text:
    .asciz  "<null>"
