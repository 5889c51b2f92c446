"""stub"""


def render(plan, record, results):
    return ""
