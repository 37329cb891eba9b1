/* mail/address_form.h - shared by the strict (address.c) and the forgiving (address_list.c) readers of addresses. */
#ifndef MAIL_ADDRESS_FORM_H
#define MAIL_ADDRESS_FORM_H
#include "mail/address.h"

/* Fills `email` and `utf8` from `local` and `domain`. False when the arena is full. */
bool address_form(struct address *out, struct arena *a);
/* Reads a local part (Dot-string or Quoted-string, RFC 5321 4.1.2) from the front of *in. */
bool address_read_local(struct bytes *in, struct arena *a, struct bytes *local, struct err *e);
/* Needs no quotes: atoms with single dots between them. */
bool address_is_dot_atom(struct bytes local);
/* An own copy; NO_BYTES when the arena is full. */
struct bytes address_copy(struct arena *a, struct bytes b);
#endif
