/* mail/calendar.h - iCalendar objects as mails carry them (RFC 5545, iMIP: RFC 6047). Pure.
 *
 * Nothing of a calendar is judged but what the mail around it depends on: that it is one, and that its METHOD is the
 * one that the part's media type names (RFC 6047 2.4), or it shows as no invitation. */
#ifndef MAIL_CALENDAR_H
#define MAIL_CALENDAR_H
#include "base/bytes.h"

/* Why it cannot be sent with that method; NULL when it can. Of a method of RFC 5546. */
const char *calendar_fault(struct bytes content, struct bytes method);
/* Appends it with CRLF line ends and its METHOD, which is put behind BEGIN:VCALENDAR where it says none. */
void calendar_write(struct bytes content, struct bytes method, struct buf *out);
#endif
