"""Takes the libraries' ways to the network: urllib, torch.hub, torch.distributed."""
# ruff: noqa

EXPECT = "refused"


def try_urllib():
    import urllib.request

    return urllib.request.urlopen("http://127.0.0.1:@TCP@/", timeout=1).read()


def try_hub():
    import torch

    return torch.hub.load_state_dict_from_url("http://127.0.0.1:@TCP@/x.pt")


def try_store():
    import datetime
    import torch.distributed as dist

    wait = datetime.timedelta(milliseconds=200)
    return dist.TCPStore("127.0.0.1", int("@TCP@"), is_master=False, timeout=wait)


def try_http():
    import http.client

    http.client.HTTPConnection("127.0.0.1", int("@TCP@"), timeout=1).request("GET", "/")
