"""Who issued the receipt: the name in the block at its head."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from receipt_reader import amounts, dates, words
from receipt_reader.layout import Row

_HEAD_ROWS_MAX = 14

# Legal forms; what stands before one is a company's name.
_LEGAL = (
    r"SDN\.?\s?BHD|S/B|BHD|PTE\.?\s?LTD|PTY\.?\s?LTD|PVT\.?\s?LTD|P\.?L\.?C|LTD|LIMITED|LLC|L\.L\.C|"
    r"LLP|INC|CORP|CORPORATION|CO|COMPANY|GMBH(?:\s?&\s?CO\.?\s?KG)?|AG|KG|OHG|UG|E\.?K|S\.?A\.?R\.?L|SARL|"
    r"SAS|S\.?A|S\.?R\.?L|S\.?P\.?A|B\.?V|N\.?V|AB|A/S|APS|OY|SP\.?\s?Z\s?O\.?O|PLT|PT|CV|TBK|JMB|LTDA"
)
_LEGAL_END = re.compile(rf"(?<![\w.&])(?:{_LEGAL})\.?$", re.IGNORECASE)

# Kinds of business, which a name often ends or begins with.
_BUSINESS = """
RESTAURANT RESTAURANTS RESTORAN RISTORANTE CAFE CAFÉ COFFEE KOPITIAM BISTRO BAR PUB GRILL DINER KITCHEN BAKERY
BÄCKEREI BAKERS BOULANGERIE PIZZERIA PIZZA SUSHI BURGER NOODLES DELI FOOD FOODS CATERING TRATTORIA OSTERIA BRASSERIE
TRADING TRADERS ENTERPRISE ENTERPRISES ENTERPRIS PERNIAGAAN PASAR KEDAI SYARIKAT STORE STORES SHOP MART MINIMART
MINIMARKET MARKET SUPERMARKET HYPERMARKET SUPERMARKT MARKT GROCERY GROCERIES GROCER DEPARTMENT OUTLET MALL BAZAAR BOUTIQUE
HARDWARE MACHINERY MOTOR MOTORS AUTO TYRE TYRES GARAGE PETROL PETROLEUM STATION SERVICES SERVICE CARWASH PARKING
PHARMACY FARMASI APOTHEKE PHARMACIE FARMACIA CLINIC KLINIK DENTAL HOSPITAL OPTICAL OPTICS BOOKS BOOKSTORE BOOKSHOP
STATIONERY STATIONERS PRINTING GIFT GIFTS TOYS FASHION SHOES JEWELLERY ELECTRONICS ELECTRICAL COMPUTER COMPUTERS
DIGITAL FURNITURE HOME GARDEN FLORIST FLOWERS SALON SPA BARBER HOTEL INN MOTEL HOSTEL RESORT INDUSTRIES INDUSTRY
INDUSTRIAL MARKETING DISTRIBUTION DISTRIBUTORS SUPPLY SUPPLIES SUPPLIERS HOLDINGS GROUP INTERNATIONAL ENGINEERING
TECHNOLOGY TECHNOLOGIES SOLUTIONS CREATIONS MANAGEMENT RESOURCES VENTURES BROTHERS BROS SONS CINEMA THEATRE FITNESS
GYM LAUNDRY CLEANERS BUTCHER BUTCHERS METZGEREI FISHMONGER WINES LIQUORS TAVERN CANTEEN TEAHOUSE TEA ICE CREAM
"""
_BUSINESS_WORDS = frozenset(_BUSINESS.split())
_BUSINESS_ENDINGS = ("MART", "MARKT", "MARKET", "SHOP", "STORE", "HAUS", "BÄCKEREI", "CAFE")
_GENERIC_WORDS = _BUSINESS_WORDS | {"AND", "&", "OF", "THE", "M"}

_ADDRESS = re.compile(
    r"\b(?:JALAN|JLN|JL|LORONG|LRG|TAMAN|TMN|KAMPUNG|KG|LOT|BLOK|BLK|BLOCK|SEKSYEN|SEKSEN|SECTION|SEK|BANDAR|MUKIM|BATU|KAWASAN|"
    r"PERINDUSTRIAN|PERSIARAN|LEBUH|LEBUHRAYA|WISMA|MENARA|PLAZA|KOMPLEKS|TINGKAT|LEVEL|FLOOR|FLR|UNIT|SUITE|STE|STREET|STR|AVENUE|"
    r"AVE|ROAD|RD|BOULEVARD|BLVD|LANE|DRIVE|HIGHWAY|HWY|SQUARE|COURT|PARKWAY|PKWY|TURNPIKE|WAY|RUE|PLACE|ALLEE|PLATZ|GASSE|WEG|STRASSE|"
    r"CALLE|AVENIDA|PLAZA|VIA|PIAZZA|CORSO|STRAAT|LAAN|WILAYAH|SELANGOR|JOHOR|KUALA LUMPUR|DARUL|P\.?O\.?\s?BOX|NO)\b"
    r"|STRASSE\b|STRAßE\b|STR\.\s?\d|(?:STRAAT|GASSE|PLATZ|WEG)\s\d|\bJ[A1I]L?[A4]N",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"^\W*(?:NO\.?\s?)?[A-Z]{0,2}\d+[A-Z]?\b.*,", re.IGNORECASE)
# Malaysia, Germany, France, the United States; Britain; Canada; Australia.
_POSTAL_CODE = re.compile(
    r"(?<![\d-])\d{5}(?:-\d{4})?(?![\d-])|\b[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}\b|\b[A-Z]\d[A-Z]\s?\d[A-Z]\d\b"
    r"|\b(?:NSW|QLD|VIC|TAS|ACT|WA|SA|NT)\s\d{4}\b"
)
_REGISTRATION = re.compile(
    r"\b(?:CO|COMPANY|BUSINESS|ROC|SSM|REG|REGISTRATION|UEN|ABN|ACN|CNPJ|SIRET|SIREN|CIF|NIF|VAT|GST|SST|TIN|USt|UStID|STEUER|TVA|BTW|KVK|P\.?IVA|HST|TAX)\b"
    r".{0,18}(?:NO|NUMBER|NUM|ID|REG|#|NR|:)|^\W*\(?[A-Z]{0,3}\d{5,}\s?-?\s?[A-Z]{0,2}\)?\W*$|^\W*\(?CO\.?\s?R[EF]G|LICEN[SC]EE|\bID\s?NO",
    re.IGNORECASE,
)
_PHONE = re.compile(
    r"\b(?:TEL|TEI|TE1|PHONE|TELEPHONE|TELEFON|FAX|H/?P|MOBILE|HOTLINE|WHATSAPP|CALL)\b|^\W*\+?[\d\s()./-]{7,}$",
    re.IGNORECASE,
)
_ONLINE = re.compile(r"@|www|https?:|\.(?:com|net|org|my|sg|de|fr|co\.uk)\b", re.IGNORECASE)
_LABELLED = re.compile(
    r"^\W*(?:CASHIER|INVOICE|INV|RECEIPT|RECEIPI|DOC|BILL|ORDER|ORD|TABLE|PAX|DATE|TIME|POS|TERMINAL|SERVER|CLERK|STORE|REGISTER|REG|TRANSACTION|"
    r"TRANS|TICKET|COUNTER|SALES ?PERSON|STAFF|OPERATOR|GUESTS?|CHECK|QTY|CASH|HOST|TILL|BRANCH)\s?(?:#|NO\b|NUMBER|ID\b|NAME\b|:|\.|\d)",
    re.IGNORECASE,
)
_FORMER = re.compile(
    r"FORMERLY|LICEN[SC]EE|OPERATEDBY|MANAGEDBY|FRANCHISE|DIVISIONOF|SUBSIDIARY|MEMBEROF"
)
_REGISTRATION_TAIL = re.compile(
    r"\s*[(\[]\s?(?:CO\.?\s?(?:REG)?\.?\s?(?:NO)?\.?:?\s?)?[A-Z]{0,3}\d[\dA-Z]{3,}[\s-]*[A-Z0-9]{0,2}\s?[)\]]?\W*$",
    re.IGNORECASE,
)
_BARE_TAIL = re.compile(r"\s+\d{6,}\s?-?\s?[A-Z]?$")


@dataclass(frozen=True, slots=True)
class Merchant:
    """The name, the rows that it stands on and how sure the choice is."""

    name: str
    rows: tuple[Row, ...]
    confidence: float


def read(rows: Sequence[Row]) -> Merchant | None:
    """Return the merchant named in the head of the receipt, or None when no row looks like one."""
    head = _head(rows)
    if not head:
        return None
    usual = statistics.median(row.height for row in rows)
    scores = [_score(head, index, usual) for index in range(len(head))]
    best = max(range(len(head)), key=lambda index: (scores[index], -index))
    if scores[best] <= _IMPOSSIBLE / 2:
        return None
    chosen = [head[best]]
    if best > 0 and _is_generic(head[best]) and _may_be_name(head[best - 1]):
        chosen.insert(0, head[best - 1])
    elif best + 1 < len(head) and _continues(head[best], head[best + 1]):
        chosen.append(head[best + 1])
    others = [score for index, score in enumerate(scores) if head[index] not in chosen]
    margin = scores[best] - max(others, default=0.0)
    confidence = min(max(0.5 + 0.08 * scores[best] + 0.05 * min(margin, 4.0), 0.2), 0.98)
    return Merchant(clean(" ".join(row.text for row in chosen)), tuple(chosen), confidence)


def clean(text: str) -> str:
    """Return a name without the registration number behind it, its legal form spelt right."""
    name = _REGISTRATION_TAIL.sub("", " ".join(text.split()))
    name = _BARE_TAIL.sub("", name).strip(" -*:,_|~'\"")
    # Only these letters can stand there: "SON BHD" and "5/B" are broken "SDN BHD" and "S/B".
    name = (
        re.sub(r"\bS[A-Z0-9]N(\.?\s?BH[DO0])\b", r"SDN\1", name, flags=re.IGNORECASE)
        if "SDN" not in name.upper()
        else name
    )
    return re.sub(r"\b5/[B8](?=\W*$)", "S/B", name)


_IMPOSSIBLE = -20.0


def _head(rows: Sequence[Row]) -> list[Row]:
    """Return the rows above the goods: up to the table heading or the first amount."""
    head: list[Row] = []
    for row in rows[:_HEAD_ROWS_MAX]:
        if words.is_item_header(row) or words.CUSTOMER.search(words.label(row)):
            break
        if amounts.find(row.text) and len(head) > 1 and not _is_place(row.text):
            break
        head.append(row)
    return head


def _score(head: Sequence[Row], index: int, usual_height: float) -> float:
    """How much the row looks like the name; every part is a habit of printed receipts."""
    row = head[index]
    if not _may_be_name(row):
        return _IMPOSSIBLE
    text = clean(row.text)
    score = 0.0
    if _LEGAL_END.search(text):
        score += 3.0
    if _has_business_word(text):
        score += 1.5
    after = [candidate.text for candidate in head[index + 1 : index + 3]]
    if after and (_is_place(after[0]) or _is_registration(after[0])):
        score += 1.0
    if any(_is_registration(following) for following in after[:1]) or _REGISTRATION_TAIL.search(
        row.text
    ):
        score += 0.5
    score += min(max(row.height / usual_height - 1.0, 0.0), 1.0) * 1.5
    score -= 2.5 if text.islower() else 0.0
    score -= (1.0 - row.confidence) * 6.0
    score -= 0.45 * sum(_may_be_name(before) for before in head[:index])
    score -= 0.6 * sum(_is_place(before.text) for before in head[:index])
    score -= 2.0 if any(_is_title(before) for before in head[:index]) and index > 1 else 0.0
    if index and _FORMER.search(words.label(head[index - 1])):
        score -= 4.0
    return score - (1.5 if len(re.sub(r"\W", "", text)) < 4 else 0.0)


def _may_be_name(row: Row) -> bool:
    text = row.text
    letters = sum(character.isalpha() for character in text)
    digits = sum(character.isdigit() for character in _REGISTRATION_TAIL.sub("", text))
    if letters < 3 or digits > 0.4 * (letters + digits):
        return False
    squashed = words.label(row)
    if _is_title(row) or words.GREETING.search(squashed) or _FORMER.search(squashed):
        return False
    if _LABELLED.search(text) or _PHONE.search(text) or _ONLINE.search(text) or dates.find(text):
        return False
    name = clean(text)
    if _LEGAL_END.search(name):
        return True
    return not _is_registration(name) and not (_is_place(name) and not _has_business_word(name))


def _is_title(row: Row) -> bool:
    return bool(words.TITLE.search(words.label(row)))


def _is_place(text: str) -> bool:
    return any(pattern.search(text) for pattern in (_ADDRESS, _NUMBERED, _POSTAL_CODE))


def _is_registration(text: str) -> bool:
    return bool(_REGISTRATION.search(text))


def _name_words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", _LEGAL_END.sub("", text).upper())


def _has_business_word(text: str) -> bool:
    return any(
        word in _BUSINESS_WORDS or word.endswith(_BUSINESS_ENDINGS) for word in _name_words(text)
    )


def _is_generic(row: Row) -> bool:
    """Whether the row holds nothing but kinds of business and a legal form: half a name."""
    return all(word in _GENERIC_WORDS for word in _name_words(clean(row.text)))


def _continues(row: Row, following: Row) -> bool:
    """Whether a name printed in two rows of like size goes on in `following`."""
    alike = 0.75 < following.height / row.height < 1.33
    ended = bool(_LEGAL_END.search(clean(row.text)))
    return alike and not ended and _may_be_name(following) and _is_generic(following)
