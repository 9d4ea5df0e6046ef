"""After a restart: everything that the server shows is compared with what it acknowledged."""

from concurrent.futures import ThreadPoolExecutor

from durability.client import Client
from durability.content import content
from durability.history import ABSENT, OnceRegister, Outcome, Stage, State
from durability.workload import BUCKET, VERSIONED, check_read

VERIFIERS = 4


def verify(world, server):
    """Notes every violation in `world`, then settles each key's state as found, so that the next round starts
    from certainty."""
    listed = listing(Client(server))
    with ThreadPoolExecutor(VERIFIERS) as pool:
        keys = sorted(world.registers)
        slices = [keys[n::VERIFIERS] for n in range(VERIFIERS)]
        for states in pool.map(lambda part: verify_keys(world, Client(server), part, listed), slices):
            for key, state in states.items():
                settle_key(world, key, state)
    for key in sorted(set(listed) - set(world.registers)):
        world.violation(f"GHOST: the listing shows {key}, which nobody wrote")
    client = Client(server)
    verify_uploads(world, client)
    verify_versions(world, client)
    client.close()


def listing(client):
    """Key to (ETag, size) of the plain bucket."""
    found = {}
    markers = [("NextContinuationToken", "continuation-token")]
    for page in client.pages(BUCKET, [("list-type", "2"), ("max-keys", "100")], markers):
        for entry in page.iter("Contents"):
            found[entry.findtext("Key")] = (entry.findtext("ETag"), int(entry.findtext("Size")))
    return found


def verify_keys(world, client, keys, listed):
    """Reads each key, compares it with its history and with the listing; gives the states found."""
    found = {}
    for key in keys:
        register = world.registers[key]
        allowed = register.admissible()
        answer = client.request("GET", BUCKET, key)
        problem = check_read(answer, allowed, register)
        if isinstance(register, OnceRegister) and register.winners() > 1:
            problem = f"{register.winners()} creations with If-None-Match: * were acknowledged\n{register}"
        shown = (answer.headers.get("etag"), len(answer.body)) if answer.status == 200 else None
        if problem is None and listed.get(key) != shown:
            problem = f"the listing shows {listed.get(key)}, GET gives {shown}"
        if problem:
            world.violation(f"{key}: {problem}")
            continue
        found[key] = ABSENT
        if answer.status == 200:
            tags = read_tags(client, key, answer, allowed)
            name = answer.headers["x-amz-meta-content"]
            found[key] = State(name, len(answer.body), answer.headers["etag"], tags)
            if found[key] not in allowed:
                world.violation(f"LOST tags: {key} is {found[key]}, allowed {[str(s) for s in allowed]}\n{register}")
    client.close()
    return found


def read_tags(client, key, answer, allowed):
    if "x-amz-tagging-count" not in answer.headers and not any(state and state.tags for state in allowed):
        return ()
    document = client.expect(200, "GET", BUCKET, key, query=[("tagging", None)]).xml()
    return tuple(sorted((tag.findtext("Key"), tag.findtext("Value", "")) for tag in document.iter("Tag")))


def settle_key(world, key, state):
    register = world.registers[key]
    for upload in world.uploads:
        if upload.key == key and upload.stage is Stage.COMPLETING:
            # Another completion of the same key cannot have the same content: contents have their own names.
            done = state is not ABSENT and state.content == upload.state.content
            upload.stage = Stage.COMPLETED if done else Stage.OPEN
    if isinstance(register, OnceRegister):
        register.decide(state)
    else:
        register.settle(state)


def verify_uploads(world, client):
    """Uploads in progress are exactly those that are open, each with its acknowledged parts; what a lost answer
    created is aborted, and stays away."""
    markers = [("NextKeyMarker", "key-marker"), ("NextUploadIdMarker", "upload-id-marker")]
    shown = {}
    for page in client.pages(BUCKET, [("uploads", None)], markers):
        for entry in page.iter("Upload"):
            shown[entry.findtext("UploadId")] = entry.findtext("Key")
    for upload in world.uploads:
        listed = shown.pop(upload.id, None) is not None
        if upload.stage is Stage.ABORTING:
            upload.stage = Stage.OPEN if listed else Stage.ABORTED
        if listed != (upload.stage is Stage.OPEN):
            state = "is listed" if listed else "is gone"
            world.violation(f"upload {upload.id} of {upload.key} ({upload.stage.value}) {state}")
        elif listed:
            verify_parts(world, client, upload)
    world.finished_uploads |= {u.id for u in world.uploads if u.stage is not Stage.OPEN}
    world.uploads = [u for u in world.uploads if u.stage is Stage.OPEN]
    for upload_id, key in shown.items():
        if upload_id in world.finished_uploads or key not in world.creating:
            world.violation(f"GHOST: upload {upload_id} of {key} is listed, and was finished or never made")
        else:
            world.creating.remove(key)
        client.expect(204, "DELETE", BUCKET, key, query=[("uploadId", upload_id)])
        world.finished_uploads.add(upload_id)
    world.creating.clear()


def verify_parts(world, client, upload):
    shown = {}
    query = [("uploadId", upload.id)]
    document = client.expect(200, "GET", BUCKET, upload.key, query=query).xml()
    for part in document.iter("Part"):
        shown[int(part.findtext("PartNumber"))] = part.findtext("ETag")
    for number, (tag, outcome) in list(upload.sent.items()):
        if outcome is Outcome.ACKNOWLEDGED and shown.get(number) != tag:
            world.violation(f"LOST: part {number} of {upload.key} is {shown.get(number)}, acknowledged {tag}")
        if outcome is Outcome.UNKNOWN and shown.get(number) not in (None, tag):
            world.violation(f"TORN: part {number} of {upload.key} is {shown.get(number)}, sent {tag}")
        if outcome is Outcome.UNKNOWN:
            upload.sent[number] = (tag, Outcome.ACKNOWLEDGED if number in shown else Outcome.UNKNOWN)
    for number in set(shown) - set(upload.sent):
        world.violation(f"GHOST: part {number} of {upload.key} was never sent")


def verify_versions(world, client):
    """Each key's versions are its acknowledged ones in order, plus those of lost answers at most."""
    shown = {}
    markers = [("NextKeyMarker", "key-marker"), ("NextVersionIdMarker", "version-id-marker")]
    for page in client.pages(VERSIONED, [("versions", None), ("max-keys", "200")], markers):
        for entry in page:
            if entry.tag in ("Version", "DeleteMarker"):
                shown.setdefault(entry.findtext("Key"), []).append(entry)
    for key in sorted(set(shown) - set(world.stacks)):
        world.violation(f"GHOST: the versioned bucket shows {key}, which nobody wrote")
    for key, stack in sorted(world.stacks.items()):
        problem = verify_stack(client, key, stack, shown.get(key, []))
        if problem:
            world.violation(f"versions of {key}: {problem}")


def verify_stack(client, key, stack, entries):
    """`entries` are the listed versions, newest first. Gives what is wrong, or settles the stack."""
    expected = {v.id: v for v in stack.versions if v.id}
    unknown = [v for v in stack.versions if v.outcome is Outcome.UNKNOWN]
    order = []
    for entry in entries:
        version_id, is_marker = entry.findtext("VersionId"), entry.tag == "DeleteMarker"
        version = expected.pop(version_id, None) or adopt(client, key, version_id, is_marker, unknown)
        if version is None:
            return f"GHOST: {version_id} ({entry.tag}) was never written"
        if version.removal is Outcome.ACKNOWLEDGED:
            return f"GHOST: {version_id} was removed"
        version.removal = Outcome.REFUSED
        if (version.state is ABSENT) != is_marker:
            return f"{version_id} is a {entry.tag}, written as {version.state or 'a marker'}"
        problem = None if is_marker else check_version(client, key, version, entry)
        if problem:
            return problem
        order.append(version)
    lost = [v for v in expected.values() if v.removal is Outcome.REFUSED]
    if lost:
        return f"LOST: {[(v.id, str(v.state or 'marker')) for v in lost]}"
    return check_order(client, key, stack, order, entries)


def check_order(client, key, stack, order, entries):
    """Versions, and markers, come newest first (S3 tells the two apart, XML may group them); the newest of all is
    the latest, and what a GET without a version sees."""
    for tag in ("Version", "DeleteMarker"):
        written = [stack.versions.index(v) for v, entry in zip(order, entries, strict=True) if entry.tag == tag]
        if written != sorted(written, reverse=True):
            return f"{tag}s out of order: written as {written}"
    stack.versions = sorted(order, key=stack.versions.index)
    newest = stack.versions[-1] if stack.versions else None
    latest = [entry.findtext("VersionId") for entry in entries if entry.findtext("IsLatest") == "true"]
    if latest != ([newest.id] if newest else []):
        return f"the latest is {latest}, written last was {newest and newest.id}"
    answer = client.request("GET", VERSIONED, key)
    current = newest.state if newest else ABSENT
    ok = answer.status == 404 if current is ABSENT else answer.headers.get("x-amz-version-id") == newest.id
    return None if ok else f"GET without a version gives {answer.status}, the newest is {current or 'absent'}"


def adopt(client, key, version_id, is_marker, unknown):
    """The attempt of unknown outcome that made this version, or None."""
    name = None
    if not is_marker:
        answer = client.expect(200, "HEAD", VERSIONED, key, query=[("versionId", version_id)])
        name = answer.headers.get("x-amz-meta-content")
    for version in unknown:
        if (version.state.content if version.state else None) == name:
            unknown.remove(version)
            version.id, version.outcome = version_id, Outcome.ACKNOWLEDGED
            return version
    return None


def check_version(client, key, version, entry):
    state = version.state
    answer = client.request("GET", VERSIONED, key, query=[("versionId", version.id)])
    if answer.status != 200:
        return f"LOST: {version.id} is listed, GET answers {answer}"
    if answer.body != content(state.content, state.size):
        return f"TORN: {version.id} is not {state}"
    told = (answer.headers.get("etag"), answer.headers.get("x-amz-version-id"), entry.findtext("ETag"))
    if told != (state.etag, version.id, state.etag) or int(entry.findtext("Size")) != state.size:
        return f"{version.id} of {state} is described as {told}, size {entry.findtext('Size')}"
    return None
