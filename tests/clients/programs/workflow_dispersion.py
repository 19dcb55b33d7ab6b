"""Deposits works, does one of them, looks after the others and cleans up, as a scientist would."""

from workflow.definitions.work import Work
from workflow.http.context import HTTPContext

http = HTTPContext(backends=["buckets"])

works = []
for number in range(6):
    work = Work(pipeline="dispersion-search", site="local", user="scientist")
    work.function = "workflow_functions.search"
    work.parameters = {"dm": 100 * number}
    work.event = [9385707, 9385708]
    work.tags = ["search"]
    work.priority = 5 if number == 1 else 3
    works.append(work.payload)
ids = http.buckets.deposit(works, return_ids=True)
print(f"deposited {len(ids)} works")

work = Work.withdraw(pipeline=["dispersion-search", "other"], site="local", tags=["search"], http=http)
print(f"withdrew dm {work.parameters['dm']} of priority {work.priority}")
print(f"{http.buckets.status('dispersion-search')['queued']} works are queued")

work.results = {"dm": work.parameters["dm"], "snr": 10.0}
work.status = "success"
work.update()
(seen,) = http.buckets.view({"id": work.id}, {"status": True, "results": True})
print(seen["status"], seen["results"])

print("audit", http.buckets.audit())
print("deleted", http.buckets.delete_many("dispersion-search", force=True))
print(f"{http.buckets.status('dispersion-search')['total']} works are left")
