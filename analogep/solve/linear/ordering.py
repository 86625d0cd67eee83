"""Approximate minimum degree: an order in which a symmetric sparse matrix fills little.

The quotient graph method of Amestoy, Davis and Duff (1996, SIAM J. Matrix Anal. Appl. 17), without its merging of
indistinguishable nodes. An eliminated node becomes an *element*, the clique of its neighbours; a node's degree is
bounded by the sizes of its elements less what they share with the newest one.
"""

from __future__ import annotations

import numpy as np

from analogep.solve.compiled import compiled


@compiled
def minimum_degree(indptr, indices):  # type: ignore[no-untyped-def]
    """Return the node eliminated k-th, (n,), for a structurally symmetric CSC pattern without duplicates."""
    size = len(indptr) - 1
    # A node's list holds its elements first, then its nodes that are not yet covered by an element. Each
    # elimination takes at least one entry away from a list before it adds one, so that lists stay in place.
    lists = np.empty(len(indices), np.int64)
    elements = np.zeros(size, np.int64)
    length = np.zeros(size, np.int64)
    for i in range(size):
        q = indptr[i]
        for p in range(indptr[i], indptr[i + 1]):
            if indices[p] != i:
                lists[q] = indices[p]
                q += 1
        length[i] = q - indptr[i]
    degree = length.copy()
    head = np.full(size + 1, -1, np.int64)
    after = np.full(size, -1, np.int64)
    before = np.full(size, -1, np.int64)
    for i in range(size - 1, -1, -1):
        d = degree[i]
        after[i] = head[d]
        if head[d] >= 0:
            before[head[d]] = i
        head[d] = i
    members = np.empty(max(4 * len(indices), 16), np.int64)  # of elements, one after another
    first = np.zeros(size, np.int64)
    count = np.zeros(size, np.int64)  # members of an element; 0 before, and once another has absorbed it
    left = np.zeros(size, np.int64)  # members of an element outside the newest one, if seen at this pivot
    seen = np.full(size, -1, np.int64)
    inside = np.full(size, -1, np.int64)
    order = np.empty(size, np.int64)
    used, least = 0, 0
    for k in range(size):
        while head[least] < 0:
            least += 1
        pivot = head[least]
        head[least] = after[pivot]
        if after[pivot] >= 0:
            before[after[pivot]] = -1
        order[k] = pivot
        inside[pivot] = k
        if used + size > len(members):
            grown = np.empty(2 * len(members) + size, np.int64)
            grown[:used] = members[:used]
            members = grown
        start = indptr[pivot]
        begin = used
        for p in range(start, start + length[pivot]):
            entry = lists[p]
            if p < start + elements[pivot]:
                for q in range(first[entry], first[entry] + count[entry]):
                    i = members[q]
                    if inside[i] != k:
                        inside[i] = k
                        members[used] = i
                        used += 1
                count[entry] = 0
            elif inside[entry] != k:
                inside[entry] = k
                members[used] = entry
                used += 1
        first[pivot], count[pivot] = begin, used - begin
        for q in range(begin, used):
            i = members[q]
            for p in range(indptr[i], indptr[i] + elements[i]):
                e = lists[p]
                if seen[e] != k:
                    seen[e] = k
                    left[e] = count[e]
                left[e] -= 1
        size_left = size - k - 1
        for q in range(begin, used):
            i = members[q]
            if before[i] >= 0:
                after[before[i]] = after[i]
            else:
                head[degree[i]] = after[i]
            if after[i] >= 0:
                before[after[i]] = before[i]
            start = indptr[i]
            middle, end = start + elements[i], start + length[i]
            put = start
            bound = used - begin - 1
            for p in range(start, middle):
                e = lists[p]
                if count[e] > 0 and left[e] > 0:
                    lists[put] = e
                    put += 1
                    bound += left[e]
            kept = put
            for p in range(middle, end):
                if inside[lists[p]] != k:
                    lists[put] = lists[p]
                    put += 1
                    bound += 1
            if put > kept:  # make room for the new element among the elements
                lists[put] = lists[kept]
            lists[kept] = pivot
            elements[i] = kept + 1 - start
            length[i] = put + 1 - start
            d = min(bound, degree[i] + used - begin - 1, size_left - 1)
            degree[i] = d
            before[i] = -1
            after[i] = head[d]
            if head[d] >= 0:
                before[head[d]] = i
            head[d] = i
            least = min(least, d)
    return order
