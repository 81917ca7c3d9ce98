/// Merge sort with a comparison that can fail: the standard library's sort does not pass typed errors on.
enum StableSort {
    static func sorted<Element>(
        _ elements: [Element], by isLess: (Element, Element) throws(TemplateError) -> Bool
    ) throws(TemplateError) -> [Element] {
        var source = elements
        var width = 1
        while width < source.count {
            var merged: [Element] = []
            merged.reserveCapacity(source.count)
            for start in stride(from: 0, to: source.count, by: 2 * width) {
                let middle = min(start + width, source.count)
                let end = min(start + 2 * width, source.count)
                var (left, right) = (start, middle)
                while left < middle || right < end {
                    var takesRight = left == middle
                    if left < middle, right < end { takesRight = try isLess(source[right], source[left]) }
                    merged.append(source[takesRight ? right : left])
                    if takesRight { right += 1 } else { left += 1 }
                }
            }
            source = merged
            width *= 2
        }
        return source
    }
}
