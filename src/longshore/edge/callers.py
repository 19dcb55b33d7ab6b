"""Who may call: the roles that routes ask for, as parameters of their functions."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from longshore.access import Permission
from longshore.edge.call import Call, allow

Reader = Annotated[Call, Depends(allow(Permission.READ))]
"""A key of any role but those of workers and of programs outside."""
Operator = Annotated[Call, Depends(allow(Permission.OPERATE))]
Developer = Annotated[Call, Depends(allow(Permission.DEVELOP))]
Admin = Annotated[Call, Depends(allow(Permission.ADMIN))]
