"""Write `docs/settings.md` from the code that defines the settings."""

from tests.docs.settings import PAGE, page

PAGE.write_text(page())
print(f"{PAGE} is written")
