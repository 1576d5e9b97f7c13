import json,re
n=lambda s: re.sub(r"[^a-z0-9+*/=' -]","",s.lower()).strip()
seen=set()
for f in ("../corpus.jsonl","../corpus4.jsonl"):
    for l in open(f):
        for u,_ in json.loads(l)["turns"]: seen.add(n(u))
d=json.load(open("heldout_results.json")); a=[x for x in d if len(x["turns"])==1]; s=[x for x in a if n(x["turns"][0]) in seen]; u=[x for x in a if n(x["turns"][0]) not in seen]; m=[x for x in d if len(x["turns"])>1]
for k,v in (("single seen verbatim (ignoring case/punctuation)",s),("single never seen",u),("multi-turn",m),("default system prompt",[x for x in d if "sys" not in x]),("no/other system prompt",[x for x in d if "sys" in x])): print(k, sum(x["ok"] for x in v), "/", len(v), f"{sum(x['ok'] for x in v)/len(v):.1%}")
