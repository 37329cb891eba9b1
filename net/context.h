/* net/context.h - inside net/: a stack, and the switch from one to another.
 *
 * x86-64 and aarch64 switch in a few instructions (30 ns there and back); elsewhere, or with -DPOSTRIDER_UCONTEXT=ON,
 * ucontext does it (two system calls). The address sanitizer is told of each switch. A context never changes thread. */
#ifndef NET_CONTEXT_H
#define NET_CONTEXT_H
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define CONTEXT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CONTEXT_ASAN 1
#endif
#endif
#ifndef CONTEXT_ASAN
#define CONTEXT_ASAN 0
#endif

#if defined(POSTRIDER_UCONTEXT) || !(defined(__x86_64__) || defined(__aarch64__))
#define CONTEXT_UCONTEXT 1
#include <ucontext.h>
#else
#define CONTEXT_UCONTEXT 0
#endif

struct context {
#if CONTEXT_UCONTEXT
    ucontext_t uc;
#else
    void *sp;
#endif
    const void *bottom; /* lowest byte of the stack */
    size_t size;
    void *fake; /* the sanitizer's */
};

/* The next switch to c runs entry() on the given stack; entry must never return. */
void context_make(struct context *c, void *stack, size_t size, void (*entry)(void));
/* Saves the present state in *from, goes on at *to. Returns when somebody switches to *from. */
void context_switch(struct context *from, struct context *to);
/* First thing in an entry(): `from` is where the switch came from. */
void context_entered(struct context *from);
/* The last switch away; nobody returns. */
_Noreturn void context_leave(struct context *from, struct context *to);
/* The lowest address in use, of a context that is switched away from; NULL when unknown. */
char *context_sp(const struct context *c);
#endif
