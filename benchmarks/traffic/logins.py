"""Generate attacks that guess passwords: on web forms, remote desktops, Telnet, mail, databases, and SSH from many sources.

Each function takes a random generator, a start time, an extent and a victim, and returns the packets with their label. The
extent counts tries on the web and connections elsewhere.
"""

import random
from collections.abc import Callable, Sequence

from attack import Attack, Extent, application, dotted
from dialects import base64_text, finished, flight, rdp_confirm, rdp_request, same_hello
from dialogue import CLIENT, LINUX, MILLISECOND, SECOND, SERVER, Host, Path, Turn, converse
from hosts import high_port, stranger
from messages import AGENTS, WORDS, client_hello, http_answer, http_post, sealed, ssh_keys
from sessions import BOT_STACKS
from signons import (
    MYSQL_GREETS,
    mysql_denied,
    mysql_greeting,
    mysql_login,
    plain_login,
    postgres_asks,
    postgres_denied,
    postgres_password,
    postgres_start,
    short_offer,
    tds_denied,
    tds_login,
    tds_prelogin,
    telnet_offers,
)
from wire import Packet

PEOPLE = ("anna", "bernd", "carlos", "dana", "erik", "fatima", "george", "hanna", "ivan", "julia", "karim", "laura", "marco", "nina")
ROBOT_AGENTS = (*AGENTS, "python-requests/2.31.0", "okhttp/4.12.0", "Mozilla/5.0", "OpenBullet/1.4.4")
ENDINGS = ("fin", "fin", "server-fin", "rst")

Turns = Callable[[], Sequence[Turn]]


def _guessers(rng: random.Random, extent: Extent) -> list[Host]:
    """Return one to three guessers, sometimes one for every few tries."""
    count = rng.choice((1, 1, 2, 3, max(4, extent.amount // 4)))
    return [stranger(rng, rng.choice(BOT_STACKS) if count > 3 else LINUX) for _ in range(count)]


def _tries(rng: random.Random, at_ns: int, extent: Extent, path: Path, speech: tuple[Sequence[Host], Turns]) -> list[Packet]:
    """Open one connection per try at a steady rate, from the guessers in turn."""
    (guessers, turns), ending = speech, rng.choice(ENDINGS)
    step = extent.seconds / extent.amount
    packets: list[Packet] = []
    for number in range(extent.amount):
        when = at_ns + int((number + rng.random() * 0.6) * step * SECOND)
        packets += converse(rng, when, path._replace(client=guessers[number % len(guessers)], sport=high_port(rng)), turns(), ending)
    return packets


def _guess(rng: random.Random, at_ns: int, extent: Extent, path: Path, turns: Turns) -> list[Packet]:
    """Guess from one or a few sources, sometimes from many."""
    return _tries(rng, at_ns, extent, path, (_guessers(rng, extent), turns))


def _password(rng: random.Random) -> str:
    """Return a password from a list."""
    return f"{rng.choice(WORDS)}{rng.choice(('', '!', '1', '123', str(rng.randrange(1950, 2026))))}"


def _account(rng: random.Random) -> str:
    """Return a mail address from a leaked list."""
    return f"{rng.choice(PEOPLE)}.{rng.choice(WORDS)}{rng.randrange(100)}@{rng.choice(('mail', 'post', 'web'))}.example"


def credential_stuffing(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Try leaked names and passwords on one login page, nearly all without success; the extent counts tries."""
    path, host = rng.choice(("/login", "/wp-login.php", "/api/v1/auth/login", "/account/signin")), "www.example.org"
    status, octets, luck = rng.choice(("401 Unauthorized", "403 Forbidden")), rng.choice((42, 180, 640)), rng.choice((0.0, 0.02))
    agents = rng.sample(ROBOT_AGENTS, rng.choice((1, 1, 4)))
    many = rng.random() < 0.5
    kept = 1 if many else rng.choice((1, 1, 4))
    each = extent.amount // rng.choice((2, 3)) if many else 1
    guessers = [stranger(rng, rng.choice(BOT_STACKS)) for _ in range(max(each, 1))]
    pause_ns = int(extent.seconds / extent.amount * SECOND)

    def turns() -> list[Turn]:
        """Return one try, or several on a persistent connection."""
        said: list[Turn] = []
        for number in range(kept):
            body = f"username={_account(rng).replace('@', '%40')}&password={_password(rng).replace('!', '%21')}".encode()
            won = rng.random() < luck
            said.append(
                Turn(CLIENT, http_post(host, path, rng.choice(agents), body), int(pause_ns * rng.uniform(0.7, 1.2)) if number else 0)
            )
            answer = http_answer(rng, 0 if won else octets, "302 Found" if won else status)
            said.append(Turn(SERVER, answer, rng.randrange(20, 220) * MILLISECOND))
        return said

    less = extent._replace(amount=max(1, extent.amount // kept))
    return application(_tries(rng, at_ns, less, Path(victim, victim, 0, 80), (guessers, turns)), "http-credential-stuffing", victim)


def rdp_guessing(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Guess remote desktop passwords within TLS; the extent counts connections."""
    user, hello = rng.choice(("Administr", "hello", "admin", "user")), client_hello(rng, dotted(victim.address))
    certificate, secure = rng.choice((640, 820)), rng.random() < 0.8

    def turns() -> list[Turn]:
        """Return one login that fails."""
        said = [Turn(CLIENT, rdp_request(user)), Turn(SERVER, rdp_confirm(2 if secure else 1), 3 * MILLISECOND)]
        said += [Turn(CLIENT, same_hello(rng, hello)), Turn(SERVER, flight(rng, certificate), 4 * MILLISECOND)]
        if secure:
            said += [Turn(CLIENT, finished(rng) + sealed(rng, 57)), Turn(SERVER, sealed(rng, 235), 2 * MILLISECOND)]
            said += [Turn(CLIENT, sealed(rng, 560 + rng.randrange(12))), Turn(SERVER, sealed(rng, 14), rng.randrange(8, 90) * MILLISECOND)]
        else:
            said += [Turn(CLIENT, finished(rng) + sealed(rng, 420)), Turn(SERVER, sealed(rng, 110), 2 * MILLISECOND)]
            said += [Turn(CLIENT, sealed(rng, 360)), Turn(SERVER, sealed(rng, 26), rng.randrange(200, 900) * MILLISECOND)]
        return said

    return application(_guess(rng, at_ns, extent, Path(victim, victim, 0, 3389), turns), "rdp-bruteforce", victim)


def telnet_guessing(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Guess Telnet passwords, one to three on a connection; the extent counts connections."""
    tries, prompt = (
        rng.choice((1, 2, 3)),
        rng.choice((b"\r\nlogin: ", b"BusyBox v1.19.4\r\n\r\n(none) login: ", b"User Access Verification\r\n\r\nUsername: ")),
    )
    (asked, refused), told = telnet_offers(), rng.choice((b"\r\nLogin incorrect\r\n", b"\r\n% Login invalid\r\n"))

    def turns() -> list[Turn]:
        """Return one connection whose logins fail."""
        said = [Turn(SERVER, asked, 3 * MILLISECOND), Turn(CLIENT, refused), Turn(SERVER, prompt, 20 * MILLISECOND)]
        for number in range(tries):
            user = rng.choice(("root", "admin", "support", "guest", "default"))
            said += [Turn(CLIENT, f"{user}\r\n".encode()), Turn(SERVER, f"{user}\r\nPassword: ".encode(), 2 * MILLISECOND)]
            said.append(Turn(CLIENT, f"{rng.choice(('xc3511', 'vizxv', '888888', 'admin', '54321', _password(rng)))}\r\n".encode()))
            again = prompt[prompt.rindex(b"\n") + 1 :] if number + 1 < tries else b""
            said.append(Turn(SERVER, told + again, rng.randrange(300, 1800) * MILLISECOND))
        return said

    return application(_guess(rng, at_ns, extent, Path(victim, victim, 0, 23), turns), "telnet-bruteforce", victim)


def smtp_guessing(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Guess SMTP passwords with AUTH LOGIN or PLAIN; the extent counts connections."""
    tries, plain, port = rng.choice((1, 1, 2, 3)), rng.random() < 0.4, rng.choice((25, 25, 587))
    greeting = f"EHLO {rng.choice(('User', 'ylmf-pc', 'localhost', 'win-8k2j'))}\r\n".encode()
    able = b"250-mail.example.org\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n"
    user = rng.choice(("", "info@example.org", "admin@example.org"))

    def attempt() -> list[Turn]:
        """Return one name and password, refused."""
        name, password = user or f"{rng.choice(PEOPLE)}@example.org", _password(rng)
        if plain:
            said = [Turn(CLIENT, f"AUTH PLAIN {plain_login(name, password)}\r\n".encode())]
        else:
            said = [Turn(CLIENT, b"AUTH LOGIN\r\n"), Turn(SERVER, b"334 VXNlcm5hbWU6\r\n")]
            said += [Turn(CLIENT, f"{base64_text(name.encode())}\r\n".encode()), Turn(SERVER, b"334 UGFzc3dvcmQ6\r\n")]
            said.append(Turn(CLIENT, f"{base64_text(password.encode())}\r\n".encode()))
        refusal = b"535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6\r\n"
        return [*said, Turn(SERVER, refusal, rng.randrange(200, 2200) * MILLISECOND)]

    def turns() -> list[Turn]:
        """Return one connection whose logins fail."""
        said = [Turn(SERVER, b"220 mail.example.org ESMTP Postfix\r\n", 4 * MILLISECOND), Turn(CLIENT, greeting), Turn(SERVER, able)]
        return said + [turn for _ in range(tries) for turn in attempt()]

    return application(_guess(rng, at_ns, extent, Path(victim, victim, 0, port), turns), "smtp-bruteforce", victim)


def imap_guessing(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Guess IMAP passwords, one to three on a connection; the extent counts connections."""
    tries, tag, user = rng.choice((1, 1, 2, 3)), rng.choice(("a", "A00", "1.")), rng.choice(("", "info", "admin"))
    able = b"* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE AUTH=PLAIN] Dovecot ready.\r\n"

    def turns() -> list[Turn]:
        """Return one connection whose logins fail."""
        said = [Turn(SERVER, able, 3 * MILLISECOND)]
        for number in range(1, tries + 1):
            said.append(Turn(CLIENT, f'{tag}{number} LOGIN {user or rng.choice(PEOPLE)}@example.org "{_password(rng)}"\r\n'.encode()))
            refusal = f"{tag}{number} NO [AUTHENTICATIONFAILED] Authentication failed.\r\n".encode()
            said.append(Turn(SERVER, refusal, rng.randrange(300, 2400) * MILLISECOND))
        return said

    return application(_guess(rng, at_ns, extent, Path(victim, victim, 0, 143), turns), "imap-bruteforce", victim)


def pop3_guessing(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Guess POP3 passwords, one to three on a connection; the extent counts connections."""
    tries, user, quits = rng.choice((1, 1, 2, 3)), rng.choice(("", "info", "admin")), rng.random() < 0.5

    def turns() -> list[Turn]:
        """Return one connection whose logins fail."""
        said = [Turn(SERVER, b"+OK Dovecot ready.\r\n", 3 * MILLISECOND)]
        for _ in range(tries):
            said += [Turn(CLIENT, f"USER {user or rng.choice(PEOPLE)}\r\n".encode()), Turn(SERVER, b"+OK\r\n")]
            said.append(Turn(CLIENT, f"PASS {_password(rng)}\r\n".encode()))
            said.append(Turn(SERVER, b"-ERR [AUTH] Authentication failed.\r\n", rng.randrange(300, 2400) * MILLISECOND))
        return said + ([Turn(CLIENT, b"QUIT\r\n"), Turn(SERVER, b"+OK Logging out\r\n")] if quits else [])

    return application(_guess(rng, at_ns, extent, Path(victim, victim, 0, 110), turns), "pop3-bruteforce", victim)


def database_guessing(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Guess passwords of MySQL, PostgreSQL or SQL Server; the extent counts connections."""
    version, thread, server = rng.choice(MYSQL_GREETS), rng.randrange(90, 90000), f"SRV{rng.randrange(10, 99)}"
    wait_ns = rng.randrange(1, 12) * MILLISECOND

    def mysql() -> list[Turn]:
        """Return one refused login to MySQL."""
        user = rng.choice(("root", "root", "admin", "mysql"))
        greeting = mysql_greeting(rng, version, thread + rng.randrange(4000))
        refusal = mysql_denied(user, "bot.example")
        return [Turn(SERVER, greeting, wait_ns), Turn(CLIENT, mysql_login(rng, user)), Turn(SERVER, refusal, wait_ns)]

    def postgres() -> list[Turn]:
        """Return one refused login to PostgreSQL."""
        user = rng.choice(("postgres", "postgres", "admin", "pgsql"))
        said = [Turn(CLIENT, postgres_start(user, "postgres")), Turn(SERVER, postgres_asks(rng), wait_ns)]
        return [*said, Turn(CLIENT, postgres_password(rng)), Turn(SERVER, postgres_denied(user), wait_ns)]

    def mssql() -> list[Turn]:
        """Return one refused login to SQL Server."""
        user, login_host = rng.choice(("sa", "sa", "sa", "admin")), f"WIN-{rng.randrange(900):03d}"
        said = [Turn(CLIENT, tds_prelogin(answered=False)), Turn(SERVER, tds_prelogin(answered=True), wait_ns)]
        login = tds_login(login_host, user, _password(rng), dotted(victim.address))
        return [*said, Turn(CLIENT, login), Turn(SERVER, tds_denied(user, server), wait_ns)]

    port, turns = rng.choice(((3306, mysql), (5432, postgres), (1433, mssql)))
    return application(_guess(rng, at_ns, extent, Path(victim, victim, 0, port), turns), "database-bruteforce", victim)


def distributed_ssh_guessing(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Guess SSH passwords from sixty sources or more, each of which tries little; the extent counts connections."""
    banners = rng.sample((b"SSH-2.0-Go\r\n", b"SSH-2.0-libssh2_1.10.0\r\n", b"SSH-2.0-libssh_0.9.6\r\n"), rng.choice((1, 1, 2)))
    guessers = [stranger(rng, rng.choice(BOT_STACKS)) for _ in range(max(60, extent.amount * 9 // 10))]
    tries = rng.choice(((1,), (1,), (1, 1, 1, 2), (1, 1, 1, 1, 3)))

    def turns() -> list[Turn]:
        """Return one connection whose logins fail."""
        offer, reply = ssh_keys(rng)
        said = [Turn(SERVER, b"SSH-2.0-dropbear_2022.83\r\n", 6 * MILLISECOND), Turn(CLIENT, rng.choice(banners) + short_offer(rng))]
        said += [Turn(SERVER, short_offer(rng)), Turn(CLIENT, offer), Turn(SERVER, reply, 3 * MILLISECOND)]
        said += [Turn(CLIENT, bytes.fromhex("0000000c0a1500000000000000000000") + rng.randbytes(52)), Turn(SERVER, rng.randbytes(52))]
        for _ in range(rng.choice(tries)):
            said += [Turn(CLIENT, rng.randbytes(84)), Turn(SERVER, rng.randbytes(52), int(rng.uniform(0.2, 0.7) * SECOND))]
        return said

    return application(_tries(rng, at_ns, extent, Path(victim, victim, 0, 22), (guessers, turns)), "ssh-bruteforce", victim)
