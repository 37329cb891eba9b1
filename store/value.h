/* store/value.h - values, rows and conditions, for engines: how a field of a row struct is read, set and compared.
 *
 * Every engine must order and compare as here: numbers by size, text by memcmp, null before all others. BYTES
 * and JSON are equal or not, and have no order.
 * Nothing here allocates, locks or fails; any thread. */
#ifndef STORE_VALUE_H
#define STORE_VALUE_H
#include "store/store.h"

bool value_is_null(const struct value *v);
/* Field `f` of a row, and back. The bytes are borrowed. */
struct value value_of(const struct field *f, const void *row);
void value_put(const struct field *f, void *row, const struct value *v);
/* Below, equal or above zero; both of one type. */
int value_compare(const struct value *a, const struct value *b);
/* INT and BOOL have no null, and the key is never null. */
bool field_may_be_null(const struct kind *k, const struct field *f);
bool field_has_order(const struct field *f); /* not BYTES, not JSON */
bool cond_holds(const struct field *f, const struct cond *c, const void *row);
/* The field a condition or assignment names. A kind without it, a value of another type, or an order asked of what has
 * none, is a broken promise: dies. */
const struct field *field_for(const struct kind *k, const char *name, const struct value *v);
const struct field *cond_field(const struct kind *k, const struct cond *c);
#endif
