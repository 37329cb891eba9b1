"""How schemathesis writes a message/rfc822 body: as the bytes it made up."""
import schemathesis


@schemathesis.serializer("message/rfc822")
def raw_mail(context, value):
    if isinstance(value, bytes):
        return value
    return value.encode(errors="surrogatepass") if isinstance(value, str) else str(value).encode()
