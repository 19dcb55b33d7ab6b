"""List the functions of Excel that the formula library does not have, in the documentation.

    python tools/workbook_functions.py            write the list
    python tools/workbook_functions.py --check    compare only; exit 1 when it differs

The library itself is asked, function by function; the names come from openpyxl, which knows those
of the first file format, and from the list below of those that came later.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from pathlib import Path

from openpyxl.utils import FORMULAE

from longshore.workbooks.library import unsupported

PAGE = Path(__file__).resolve().parent.parent / "docs" / "explanation" / "workbooks.md"
SECTION = re.compile(r"(<!-- functions -->\n).*?(<!-- /functions -->)", re.DOTALL)
# These are no functions of Excel, though openpyxl knows them.
NOT_EXCEL = {"ECMA.CEILING", "ISO.CEILING"}
# fmt: off
LATER = """
ACOT ACOTH AGGREGATE ARABIC ARRAYTOTEXT BASE BETA.DIST BETA.INV BINOM.DIST BINOM.DIST.RANGE
BINOM.INV BITAND BITLSHIFT BITOR BITRSHIFT BITXOR BYCOL BYROW CEILING.MATH CEILING.PRECISE
CHISQ.DIST CHISQ.DIST.RT CHISQ.INV CHISQ.INV.RT CHISQ.TEST CHOOSECOLS CHOOSEROWS COMBINA CONCAT
CONFIDENCE.NORM CONFIDENCE.T COT COTH COVARIANCE.P COVARIANCE.S CSC CSCH DAYS DBCS DECIMAL
DETECTLANGUAGE DROP ENCODEURL ERF.PRECISE ERFC.PRECISE EXPAND EXPON.DIST F.DIST F.DIST.RT F.INV
F.INV.RT F.TEST FILTER FILTERXML FLOOR.MATH FLOOR.PRECISE FORECAST.ETS FORECAST.ETS.CONFINT
FORECAST.ETS.SEASONALITY FORECAST.ETS.STAT FORECAST.LINEAR FORMULATEXT GAMMA GAMMA.DIST GAMMA.INV
GAMMALN.PRECISE GAUSS GROUPBY HSTACK HYPGEOM.DIST IFNA IFS IMAGE IMCOSH IMCOT IMCSC IMCSCH IMSEC
IMSECH IMSINH IMTAN ISFORMULA ISOMITTED ISOWEEKNUM LAMBDA LET LOGNORM.DIST LOGNORM.INV MAKEARRAY
MAP MAXIFS MINIFS MODE.MULT MODE.SNGL MUNIT NEGBINOM.DIST NETWORKDAYS.INTL NORM.DIST NORM.INV
NORM.S.DIST NORM.S.INV NUMBERVALUE PDURATION PERCENTILE.EXC PERCENTILE.INC PERCENTOF
PERCENTRANK.EXC PERCENTRANK.INC PERMUTATIONA PHI PIVOTBY POISSON.DIST QUARTILE.EXC QUARTILE.INC
RANDARRAY RANK.AVG RANK.EQ REDUCE REGEXEXTRACT REGEXREPLACE REGEXTEST RRI SCAN SEC SECH SEQUENCE
SHEET SHEETS SINGLE SKEW.P SORT SORTBY STDEV.P STDEV.S STOCKHISTORY SWITCH T.DIST T.DIST.2T
T.DIST.RT T.INV T.INV.2T T.TEST TAKE TEXTAFTER TEXTBEFORE TEXTJOIN TEXTSPLIT TOCOL TOROW TRANSLATE
TRIMRANGE UNICHAR UNICODE UNIQUE VALUETOTEXT VAR.P VAR.S VSTACK WEBSERVICE WEIBULL.DIST
WORKDAY.INTL WRAPCOLS WRAPROWS XLOOKUP XMATCH XOR Z.TEST
""".split()  # noqa: SIM905 - a list would be as long as it has names
# fmt: on


def section() -> str:
    """Return the list as Markdown."""
    names = sorted((set(FORMULAE) | set(LATER)) - NOT_EXCEL)
    missing = unsupported(names)
    listed = ", ".join(f"`{name}`" for name in missing)
    return (
        f"Of {len(names)} functions of Excel, IronCalc {version('ironcalc')} has "
        f"{len(names) - len(missing)}. It lacks {len(missing)}:\n\n{listed}.\n"
    )


def main() -> None:
    """Write the list into the page, or compare."""
    before = PAGE.read_text()
    after = SECTION.sub(lambda match: match[1] + section() + match[2], before)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(after)
    elif after != before:
        sys.exit(f"{PAGE} is out of date: run python tools/workbook_functions.py")


if __name__ == "__main__":
    main()
