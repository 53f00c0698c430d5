"""The functions of a project, f00 and so on: listed in pages of several sizes, and called once each, through boto3.

    hundred.py 100    prints what each function answered

The endpoint, region and keys come from the environment, as the platform's announcement says.
"""

import concurrent.futures
import json
import sys

from checking import equal
from sdk import client, result

names = ["f%02d" % number for number in range(int(sys.argv[1]))]

for size in [7, 50]:
    pages = list(client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": size}))
    equal(f"all are listed, {size} a page", [each["FunctionName"] for page in pages for each in page["Functions"]], names)
    equal("in full pages", [len(page["Functions"]) for page in pages[:-1]], [size] * (len(pages) - 1))

with concurrent.futures.ThreadPoolExecutor(4) as pool:
    answers = dict(zip(names, pool.map(result, names)))
for name, (who, text, instance) in answers.items():
    equal("it is the function that was called", who, name)
print(json.dumps({name: (text, instance) for name, (_, text, instance) in answers.items()}))
