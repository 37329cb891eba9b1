/* service/identity/auth_turn.h - whose turn it is: to have a password hashed, or a large mail read
 * (service/box/reading.h). A hash takes 11 ms of a core, and whoever guesses asks for as many as there can be; so turns
 * are given, not taken.
 *
 * - Between networks they go round: one that asks for many at once gets no more than one that asks for one.
 * - Whoever is known goes first: a login of a network that has passed for the same user lately, then one of a network
 *   that has passed for any; yet every fourth turn is given without regard to that, so that a stranger gets in.
 * - auth.argon2_waiting may wait. When all places are taken, the last one of the network that holds most of them makes
 *   room for one that holds fewer, and a stranger for who is known: those, and who finds no room, get ERR_BUSY.
 *
 * Who is known: auth_known.h. Any thread or fiber. */
#ifndef SERVICE_AUTH_TURN_H
#define SERVICE_AUTH_TURN_H
#include "base/metrics.h"
#include "base/params.h"
#include "service/core/call.h"

enum standing { STANDING_STRANGER, STANDING_NETWORK, STANDING_KNOWN };

/* At most `parallel` have a turn at once and `waiting` wait: parameters, read anew each time. */
struct turn_rule {
    enum param parallel, waiting;
    enum metric gauge; /* of those who wait */
    const char *busy;  /* what is told to who finds no room */
};

struct turns;
struct turns *turns_new(const struct turn_rule *rule); /* borrowed */
void turns_free(struct turns **t);                     /* nobody may be waiting */
/* Waits for a turn; give it back with turn_give. `from`: whom turns go round among. ERR_BUSY. */
bool turn_take(struct turns *t, struct bytes from, enum standing standing, struct err *e);
void turn_give(struct turns *t);

extern const struct turn_rule auth_turn_rule; /* of logins */
#endif
