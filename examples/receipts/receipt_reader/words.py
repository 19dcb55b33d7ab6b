"""What the labels on receipts say: one place for the vocabulary that all rules share."""

from __future__ import annotations

import re
from enum import Enum, auto

from receipt_reader.layout import Row

_LETTERS_FOR_DIGITS = str.maketrans("014568", "OIASBB")


class Kind(Enum):
    """What the amount on a row is, as far as the row's label says."""

    PAYABLE = auto()
    """The amount to pay, said beyond doubt: grand total, amount due, total rounded."""
    TOTAL = auto()
    """A total that may still lack tax or rounding."""
    SUBTOTAL = auto()
    TAX = auto()
    ROUNDING = auto()
    ADJUSTMENT = auto()
    """Discounts, service charges, tips, savings: parts of a sum."""
    TENDERED = auto()
    """What the customer handed over, in cash or by card."""
    CHANGE = auto()
    OTHER_TOTAL = auto()
    """A total of something that is not the price: pieces, points, tax, price before tax."""
    NONE = auto()


def squash(text: str) -> str:
    """Return the letters of `text` in capitals, look-alike digits included, all else left out.

    Labels are compared in this form because recognition drops and adds spaces freely.
    """
    words = re.findall(r"[^\W_]+", text.upper())
    letters = [
        word.translate(_LETTERS_FOR_DIGITS) if re.search(r"[^\W\d]{2}", word) else word
        for word in words
    ]
    return re.sub(r"\d", "", "".join(letters))


# "TOTAL" with the letters that recognition confuses: squash() has made 1 an I and 0 an O.
_T = r"T[OQ]T[A4][LI](?!LY)"
_AMT = r"(?:AMOUNT|AMT|ARNT|AMNT|AMOUN)"
_INCL = r"(?:INCI?L?|IN?CLUSIVE|INCLUCIVE|INCLUDING|INCLUDED)"
# The short ones are also the beginnings of other words.
_TAXES = r"(?:GST|SST|VAT|MWST|MOMS|TAXES|TAX|STEUER|(?:HST|PST|QST|UST|IVA|TVA|BTW)(?![A-Z]{4}))"

_OTHER_TOTAL = re.compile(
    rf"{_T}(?:QTY|QUANTITY|QUANTITIES|Q[A-Z]{{0,2}}NTITY|ITEMS?$|ITEMCOUNT|ITEMSSOLD|NUMBER|PCS|UNITS|SAV|DISC|POINT|WEIGHT|PAX)"
    rf"|T[OQ]TQTY|NO?OFITEMS|ITEMS?COUNT|ITEMSSOLD|ITEMSQTYS?|^(?:[A-Z]{0, 3})?ITEMS?$"
    rf"|{_T}(?:PAYABLE)?(?:SALES)?(?:{_AMT})?(?:RM|MYR)?(?:EX[CK]|BEFORE|WITHOUT|NETTO|HT$|LESS)"
    rf"|EX[CK]\w{{0,8}}{_TAXES}\w{{0,4}}{_T}|BEFORE\w{{0,12}}{_T}|(?:PRE{_TAXES}){_T}"
    rf"|{_T}{_TAXES}(?!\w*(?:{_INCL}|PAID))|{_T}INCLUDES?{_TAXES}?$"
    rf"|(?:POINTS?|REWARD|LOYALTY|SAVINGS?|STAMPS?|MEMBER|YOUSAVED?)"
    rf"|AVERAGE|PER(?:PERSON|PAX|HEAD)"
)
_SUBTOTAL = re.compile(
    rf"S[UO]BT|ZWISCHENSUMME|SOUSTOTAL|SUBTOTALE|GROSS{_AMT}|GROSS{_T}|SUMMEN?NETTO"
    rf"|NETTOBETRAG|BASEIMPONIBLE|(?:GOODS|FOOD|ITEMS?|MERCHANDISE){_T}|(?:FOOD|MERCHANDISE)$"
)
_PAYABLE = re.compile(
    rf"GRAND{_T}|(?:{_T}|{_AMT}|BALANCE)(?:{_AMT})?(?:DUE|PAYAB[LI]E|TOPAY|OWING|PAYAIBLE)|PAYABLE(?:{_AMT}|{_T})"
    rf"|{_T}\w{{0,6}}ROUND|ROUNDED\w{{0,6}}{_T}|(?:AFTER|INCL)\w{{0,4}}ROUNDING|NETT?(?:{_T}|{_AMT}|SALES?$|PAYABLE)|FINAL(?:{_T}|{_AMT})|BILL{_T}"
    rf"|{_T}\w{{0,12}}{_INCL}|{_T}TTC|NETAPAYER|APAYER|{_T}APAGAR|APAGAR|ZUZAHLEN|ZAHLBETRAG|GESAMT(?:BETRAG|SUMME)|{_T}EBETRAG"
    rf"|JUMLAH(?:BESAR|PERLUDIBAYAR|DIBAYAR)|{_T}CHARGE|PLEASEPAY|{_T}COMPLESSIVO|TEBETALEN"
)
_TOTAL = re.compile(
    rf"{_T}|(?:^|[^A-Z])T[LI](?:RM|MYR|EUR|USD)?$|^SUMME|^SUMA|^SOMME|^IMPORTE|^MONTANT|^JUMLAH|^BETRAG|^GESAMT|^BALANCE$"
    rf"|^{_AMT}(?:RM|MYR|EUR|USD)?$|^NETT?(?:RM|MYR)?$|合计|合計|总计|總計|总额|小写"
)
_TAX = re.compile(
    rf"^(?:A|ADD|PLUS|{_T}|SALES|STATE|LOCAL|CITY|COUNTY|{_INCL}|OUTPUT|SR|SALESAND)*{_TAXES}"
    rf"|{_T}INCLUDES?{_TAXES}|{_TAXES}(?:PAYABLE|{_AMT}|{_INCL}|PAID)|SERVICETAX|SVRTAX|SVCTAX|^MWST|^USTX|DARINMWST|DAVONMWST"
)
_ROUNDING = re.compile(
    r"R[OC]UND(?:I|L)?NG|ROUNDED|^RNDG|PEMBUNDARAN|PEMBULATAN|RUNDUNG|ARRONDI|REDONDEO"
)
_ADJUSTMENT = re.compile(
    r"DISC(?:OUNT)?(?:$|[^A-Z]|RM|MYR)|^LESS|REBATE|VOUCHER|COUPON|RABATT|REMISE|DESCUENTO|SCONTO|SERVICECHARGE|SVCCHARGE|SVRCHARGE|SERVCHARGE|^TIPS?$|GRATUITY|DELIVERYFEE|SHIPPING|DEPOSIT$|SAVED$"
)
_CHANGE = re.compile(
    r"^(?:CASH|YOUR|AMOUNT|TOTAL)?CHANGE|C[HN]ANGE(?:DUE|RM|MYR|BALANCE|$)|^R(?:UE|Ü|U)CKGELD|WECHSELGELD|^ZUR(?:UE|Ü|U)CK|^CAMBIO|^RENDU|^MONNAIE|^BAKI|^KEMBALI(?:AN)?(?:RM|RP|$)|^RESTO(?:$|EUR)|WISSELGELD"
)
_TENDERED = re.compile(
    rf"^(?:CASH|TUNAI|BAR(?:ZAHLUNG)?|ESP[EÈ]CES|EFECTIVO|CONTANTI?|CONTANT)(?:RM|MYR|RN|EUR|USD|SGD|GBP|{_AMT}|RECEIVED|RECEIPT|RECD|RCVD|TENDER(?:ED)?|PAID|PAYMENT|PAY|GIVEN|IN)*$"
    rf"|^(?:{_AMT}|{_T})?(?:PAID|TENDER(?:ED)?|RECEIVED)(?:{_AMT}|CASH|RM|MYR|BYCASH)*$|^(?:YOU)?GAVE$|^GEGEBEN|^BAYARAN|^DIBAYAR|^BAYAR$"
)
_CARD = re.compile(
    r"VISA|MASTERCARD|MASTERCD|^MASTER(?:RM)?$|AMEX|AMERICANEXPRESS|MAESTRO|GIROCARD|KARTENZAHLUNG|ECKARTE|DEBIT|CREDIT(?!NOTE|SALES?NO)|CARTEBANCAIRE|CARTEBLEUE|^CB(?:EUR)?$|TARJETA|PAYPAL|APPLEPAY|GOOGLEPAY|GPAY|ALIPAY|WECHATPAY|EWALLET|TOUCHNGO|TNG|GRABPAY|BOOST|PAYWAVE|PAYNOW|NETS$|UPI$|QRPAY|CONTACTLESS|KREDITKARTE|^CARD(?:PAYMENT)?$|DISCOVER$|CHEQUE|BANKTRANSFER"
)
_NO_TENDER = re.compile(
    r"CASHIER|CASH(?:BILL|SALES?|INVOICE|MEMO)|CARDN|LOYALTY|MEMBER|CARD(?:NO|NUMBER|HOLDER)"
)

_TOTAL_TAX = re.compile(rf"{_T}(?:INCLUDES?)?{_TAXES}")
_QUESTIONS = (
    (_CHANGE, Kind.CHANGE),
    (_SUBTOTAL, Kind.SUBTOTAL),
    (_PAYABLE, Kind.PAYABLE),
    (_ROUNDING, Kind.ROUNDING),
    (_TAX, Kind.TAX),
    (_TOTAL, Kind.TOTAL),
    (_ADJUSTMENT, Kind.ADJUSTMENT),
)

SUMMARY = re.compile(
    rf"{_TAXES}(?:S[UO]?[IM]{{1,4}}ARY|SUMAARY|SUMMARY|ANALYSIS|BREAKDOWN|DETAILS?|SPECIFICATION)|(?:RATE|CODE|CADE){_TAXES}|{_TAXES}(?:CODE|CADE|RATE)"
    rf"|^{_AMT}(?:EXCLGST)?(?:RM|RH|MYR|EUR)?(?:TAX|GST|VAT)(?:RM|RH|MYR|EUR)?$|MWSTSATZ|NETTOMWST|NETTOBRUTTO"
)
"""The table of taxes by rate that follows the payment; its totals are not those of the sale."""

ITEM_HEADER = re.compile(
    r"(?:ITEM|DESC|DESCRIPTION|ARTICLE|ARTIKEL|PRODUCT|QTY|QUANTITY|QNTY|QTE|MENGE|UPRICE|UNITPRICE|PRICE|RSP|PREIS|PRIX|PRECIO|AMOUNT|AMT|AMNT|TOTAL|DISC|TAX|CODE|NAME|NO)"
)

TITLE = re.compile(
    r"^(?:\w{0,2})?(?:SIMPLIFIED|RETAIL|ORIGINAL|FULL|OFFICIAL|SALES?|CUSTOMER|GUEST|CASH|TAX|DUPLICATE|FISCAL)*(?:INVOICE|INV[O]ICE|RECEIPT|RECEIPI|BILL|CASHSALES?|TAXINV|CHECK|COPY|QUITTUNG|RECHNUNG|KASSENBON|BONFISCAL|TICKET|FACTURE|FACTURA|RESIT|SCONTRINO|CASHBILL|CHITNUMBER)(?:COPY|REPRINT)?$"
)
CUSTOMER = re.compile(
    r"^(?:BILL(?:ED)?TO|SOLDTO|SHIPTO|CUSTOMER(?:NAME)?|DELIVERTO|ATTN|KUNDE|CLIENT)"
)
GREETING = re.compile(
    r"THANK|WELCOME|PLEASECOME|COMEAGAIN|HAVEANICE|DANKE|MERCI|GRACIAS|TERIMAKASIH|GRAZIE|VISITUS|FOLLOWUS"
)


def label(row: Row) -> str:
    """Return the row's label in squashed form: its letters without its numbers."""
    return squash(row.text)


def kind(text: str) -> Kind:
    """Return what the amount on a row with the label `text` (squashed) is.

    The order of the questions is the rule: "TOTAL GST" is a tax before it is a total, "CASH
    CHANGE" is change before it is cash.
    """
    if not text:
        return Kind.NONE
    if _OTHER_TOTAL.search(text) and not _CHANGE.search(text) and not _SUBTOTAL.search(text):
        return Kind.TAX if _TOTAL_TAX.search(text) else Kind.OTHER_TOTAL
    for pattern, answer in _QUESTIONS:
        if pattern.search(text):
            return answer
    return Kind.TENDERED if is_tender(text) else Kind.NONE


def is_tender(text: str) -> bool:
    """Return whether the squashed label names money handed over, in cash or by card."""
    return not _NO_TENDER.search(text) and bool(_TENDERED.search(text) or is_card(text))


def is_card(text: str) -> bool:
    """Return whether the squashed label names a card or another payment that gives no change."""
    return not _NO_TENDER.search(text) and bool(_CARD.search(text))


def is_item_header(row: Row) -> bool:
    """Return whether the row is the heading of a table of goods: two or more column names."""
    names = 0
    for word in re.findall(r"[A-Za-zÀ-ÿ/.]+", row.text):
        squashed = squash(word)
        if ITEM_HEADER.fullmatch(re.sub(r"(?:RM|MYR|EUR|S)$", "", squashed)) or squashed in {
            "ITEMDESC",
            "SPRICE",
            "UP",
        }:
            names += 1
    return names >= 2 and not any(char.isdigit() for char in row.text.replace("%", ""))
