"""stats.py - medians, spread, significance, and when to say nothing.

Model     samples are one figure per round. Spread is (greatest - least) / median. Two sets differ when the Mann-Whitney
          test says so: exact for small sets without ties, by enumeration with ties, normal approximation above.
Limits    ROUNDS_MIN: below it no test can reach 5 % (3 against 3 gives 10 % at best). SPREAD_MAX, FOREIGN_MAX, SLOW_MAX: beyond
          them a cell gets no verdict.
Not here  what is compared with what (verdict.py), which rounds count (results.py)
"""
import functools
import itertools
import math
import random
import statistics

ROUNDS_MIN = 4
SPREAD_MAX = 0.25   # of the median; a shared machine gives 5 to 15 % when it is quiet
TRIMMED_FROM = 5    # rounds; from here on one outlier, the sample farthest from the median, refuses nothing
FOREIGN_MAX = 0.10  # of the machine's time, taken by processes that are not the lab's, in any round
SLOW_MAX = 0.10     # how much slower than usual the machine's cores may have been (pace.py)
USUAL = 0.2         # usual: this share of the rounds was faster
SIGNIFICANT = 0.05
ENUMERATION_MAX = 200_000


def median(samples):
    return statistics.median(samples)


def spread(samples):
    """(greatest - least) / median; infinite around 0."""
    middle = abs(median(samples))
    width = max(samples) - min(samples)
    return 0.0 if width == 0 else (width / middle if middle else math.inf)


def steady_part(samples):
    """Without the sample farthest from the median, when there are enough."""
    if len(samples) < TRIMMED_FROM:
        return list(samples)
    middle = median(samples)
    return sorted(samples, key=lambda value: abs(value - middle))[:-1]


def u_statistic(a, b):
    """Pairs in which a is greater, ties half."""
    return sum((x > y) + 0.5 * (x == y) for x in a for y in b)


def _exact_counts(n, m):
    """How many arrangements give each U, without ties."""
    counts = [1] + [0] * (n * m)
    for i in range(1, n + 1):  # the Gaussian binomial, factor by factor
        for u in range(n * m, m + i - 1, -1):
            counts[u] -= counts[u - m - i]
        for u in range(i, n * m + 1):
            counts[u] += counts[u - i]
    return counts


def _normal_p(a, b, u):
    n, m = len(a), len(b)
    pooled = sorted(a + b)
    ties = sum(count ** 3 - count for count in (len(list(group)) for _value, group in itertools.groupby(pooled)))
    variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    if variance <= 0:
        return 1.0
    z = max(0.0, abs(u - n * m / 2) - 0.5) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2))


def mann_whitney(a, b):
    """Two-sided p that a and b are draws of one distribution."""
    n, m = len(a), len(b)
    if not n or not m:
        raise ValueError("mann_whitney needs samples on both sides")
    u, centre = u_statistic(a, b), n * m / 2
    pooled = list(a) + list(b)
    if len(set(pooled)) == n + m and n * m <= 2500:
        counts = _exact_counts(n, m)
        far = sum(count for value, count in enumerate(counts) if abs(value - centre) >= abs(u - centre))
        return far / sum(counts)
    total = math.comb(n + m, n)
    if total > ENUMERATION_MAX:
        return _normal_p(list(a), list(b), u)
    far = 0
    for chosen in itertools.combinations(range(n + m), n):
        picked = set(chosen)
        left = [pooled[i] for i in chosen]
        right = [pooled[i] for i in range(n + m) if i not in picked]
        far += abs(u_statistic(left, right) - centre) >= abs(u - centre) - 1e-9
    return far / total


def bootstrap_ratio(a, b, draws=2000, seed=1, confidence=0.95):
    """(least, greatest) plausible median(b) / median(a)."""
    return _bootstrap_ratio(tuple(a), tuple(b), draws, seed, confidence)


@functools.lru_cache(maxsize=4096)  # page, summary and targets ask for the same rows
def _bootstrap_ratio(a, b, draws, seed, confidence):
    source = random.Random(seed)
    ratios = []
    for _ in range(draws):
        below = _middle(sorted(source.choices(a, k=len(a))))
        if below:
            ratios.append(_middle(sorted(source.choices(b, k=len(b)))) / below)
    if not ratios:
        return math.nan, math.nan
    ratios.sort()
    cut = int(len(ratios) * (1 - confidence) / 2)
    return ratios[cut], ratios[-1 - cut]


def _middle(ordered):
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def usual(paces):
    """The pace that others are compared with; None without any."""
    ordered = sorted(paces)
    return ordered[int(len(ordered) * USUAL)] if ordered else None


def noise(samples, trouble=""):
    """Why these samples may not be judged; empty when they may. `trouble`: what disturbed a round of them."""
    if len(samples) < 2:
        return "fewer than 2 rounds"
    width = spread(steady_part(samples))
    if width > SPREAD_MAX:
        return f"spread {width:.0%} of the median"
    return trouble
