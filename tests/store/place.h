/* tests/store/place.h - where a test keeps its rows: a SQLite file in the test's folder, or, with
 * POSTRIDER_TEST_STORE=mongo in the environment, a database of its own on a mongod that the program starts at its first
 * place and ends when it exits, or that script/test lends to all programs of a run (mongod_borrow). ctest runs each
 * program that includes this both ways ("service/test_auth" and "service/test_auth@mongo"). */
#ifndef TESTS_STORE_PLACE_H
#define TESTS_STORE_PLACE_H
#include "base/bytes.h"

#define PLACE_URL 640

/* An empty place; `name` tells those of one folder apart. On MongoDB it may be one that was given back, without its
 * rows. */
void place_make(char url[PLACE_URL], const char *folder, const char *name);
/* The place as a copy of its folder, made after `place_make`, sees it: a copy of the file, or the same database. */
void place_copied(char url[PLACE_URL], const char *original, const char *folder);
/* Do the bytes kept there hold that text? */
bool place_holds(const char *url, struct bytes text);
/* Gives back what is not in the folder. No store has it open. */
void place_drop(const char *url);
#endif
