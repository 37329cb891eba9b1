/* net/context.c - the switch of stacks, in assembly for two machines and by ucontext elsewhere.
 *
 * Only the registers that a called function must preserve are saved, since a switch is a call for the compiler. The
 * signal mask is not touched; that is what ucontext would pay two system calls for. The first switch to a context
 * "returns" into its entry, by the frame that first_frame has laid. */
#include "net/context.h"
#include "base/err.h"
#include <stdint.h>

#if CONTEXT_ASAN
#include <sanitizer/common_interface_defs.h>
#define LEAVING(save, to)           __sanitizer_start_switch_fiber((save), (to)->bottom, (to)->size)
#define ARRIVED(fake, bottom, size) __sanitizer_finish_switch_fiber((fake), (bottom), (size))
#else
#define LEAVING(save, to)           ((void)(save))
#define ARRIVED(fake, bottom, size) ((void)(fake), (void)(bottom), (void)(size))
#endif

#if CONTEXT_UCONTEXT
static void jump(struct context *from, struct context *to)
{
    if (swapcontext(&from->uc, &to->uc) != 0)
        die("swapcontext failed");
}

void context_make(struct context *c, void *stack, size_t size, void (*entry)(void))
{
    *c = (struct context){ .bottom = stack, .size = size };
    if (getcontext(&c->uc) != 0)
        die("getcontext failed");
    c->uc.uc_stack.ss_sp = stack;
    c->uc.uc_stack.ss_size = size;
    c->uc.uc_link = NULL;
    makecontext(&c->uc, entry, 0);
}

char *context_sp(const struct context *c)
{
    (void)c;
    return NULL;
}
#else
/* Saves the registers a function must keep (System V x86-64 ABI 3.2.1; AAPCS64 6.1), swaps stacks, loads them again.
 * The floating point control words are left alone: nothing here changes them. */
void net_context_jump(void **save_sp, void *load_sp);

#if defined(__x86_64__)
__asm__(".text\n"
        ".globl net_context_jump\n"
        ".hidden net_context_jump\n"
        ".type net_context_jump, @function\n"
        ".p2align 4\n"
        "net_context_jump:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size net_context_jump, .-net_context_jump\n");

/* Six registers, then the address that `ret` takes: at entry sp must be 8 mod 16, as after a call. */
static void *first_frame(char *top, void (*entry)(void))
{
    void **frame = (void **)(void *)top - 8;

    for (int i = 0; i < 8; i++)
        frame[i] = NULL;
    frame[6] = (void *)(uintptr_t)entry;
    return frame;
}
#else
__asm__(".text\n"
        ".globl net_context_jump\n"
        ".hidden net_context_jump\n"
        ".type net_context_jump, %function\n"
        ".p2align 4\n"
        "net_context_jump:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".size net_context_jump, .-net_context_jump\n");

static void *first_frame(char *top, void (*entry)(void))
{
    void **frame = (void **)(void *)(top - 160);

    for (int i = 0; i < 20; i++)
        frame[i] = NULL;
    frame[11] = (void *)(uintptr_t)entry; /* x30, where `ret` goes */
    return frame;
}
#endif

static void jump(struct context *from, struct context *to)
{
    net_context_jump(&from->sp, to->sp);
}

void context_make(struct context *c, void *stack, size_t size, void (*entry)(void))
{
    *c = (struct context){ .bottom = stack, .size = size };
    c->sp = first_frame((char *)stack + (size & ~(size_t)15), entry);
}

char *context_sp(const struct context *c)
{
    return c->sp;
}
#endif

void context_switch(struct context *from, struct context *to)
{
    LEAVING(&from->fake, to);
    jump(from, to);
    ARRIVED(from->fake, NULL, NULL);
}

void context_entered(struct context *from)
{
    ARRIVED(NULL, &from->bottom, &from->size);
}

_Noreturn void context_leave(struct context *from, struct context *to)
{
    LEAVING((void **)NULL, to);
    jump(from, to);
    die("a fiber that had ended was resumed");
}
