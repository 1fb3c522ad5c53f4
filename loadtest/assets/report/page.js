"use strict";
(() => {
    const root = document.documentElement;
    const data = JSON.parse(document.getElementById("data").textContent);
    const drawn = new Map();
    const points = { all: 0 };

    const color = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
    const clock = (s) => {
        if (data.time.length <= 180) return s + " s";
        const two = (n) => String(Math.floor(n)).padStart(2, "0");
        return s < 3600 ? Math.floor(s / 60) + ":" + two(s % 60) : Math.floor(s / 3600) + ":" + two((s / 60) % 60) + ":" + two(s % 60);
    };
    const figure = (v) => {
        if (v == null) return "–";
        const size = Math.abs(v);
        const digits = size >= 100 || Number.isInteger(v) ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
        return v.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    };
    const short = (v) => {
        if (v == null) return "";
        if (v >= 1e6) return +(v / 1e6).toFixed(2) + " M";
        if (v >= 1e4) return +(v / 1e3).toFixed(1) + " k";
        return String(+v.toPrecision(4));
    };
    const percentile = (x) => {
        const digits = Math.max(0, Math.ceil(Math.log10(x) - 2 + 1e-9)) + (x < 100 ? 1 : 0);
        return "p" + String(+(100 - 100 / x).toFixed(digits + (Number.isInteger(Math.log10(x)) ? 0 : 1)));
    };

    // Faults: a line where one begins, a band until it ends, and its number and name above the chart.
    const rowsOfMarks = Math.min(3, data.faults.length);
    const ends = (fault) => (fault.until_s == null ? fault.at_s : fault.until_s);
    const bands = (u) => {
        const { ctx, bbox } = u, ratio = uPlot.pxRatio;
        ctx.save();
        ctx.beginPath();
        ctx.rect(bbox.left, 0, bbox.width, bbox.top + bbox.height);
        ctx.clip();
        for (const fault of data.faults) {
            const from = u.valToPos(fault.at_s, "x", true), to = u.valToPos(ends(fault), "x", true);
            ctx.fillStyle = color("fault-ground");
            ctx.fillRect(from, bbox.top, to - from, bbox.height);
            ctx.strokeStyle = color("fault");
            ctx.lineWidth = ratio;
            for (const [x, dash] of fault.until_s == null ? [[from, []]] : [[from, []], [to, [3, 3]]]) {
                ctx.setLineDash(dash.map((it) => it * ratio));
                ctx.beginPath();
                ctx.moveTo(x, bbox.top);
                ctx.lineTo(x, bbox.top + bbox.height);
                ctx.stroke();
            }
        }
        ctx.restore();
    };
    const labels = (u) => {
        const { ctx, bbox } = u, ratio = uPlot.pxRatio;
        const taken = Array.from({ length: rowsOfMarks }, () => bbox.left - ratio);
        const right = bbox.left + bbox.width;
        let marks = 0;
        ctx.save();
        ctx.font = 600 + " " + 11 * ratio + "px " + getComputedStyle(document.body).fontFamily;
        ctx.textAlign = "left";
        ctx.textBaseline = "middle";
        const placed = [];
        data.faults.forEach((fault, at) => {
            const x = u.valToPos(fault.at_s, "x", true);
            if (x < bbox.left - 1 || x > right + 1) return;
            const place = (text) => {
                const width = ctx.measureText(text).width;
                const left = Math.max(bbox.left, Math.min(x + 2 * ratio, right - width));
                const row = taken.findIndex((end) => end + 6 * ratio <= left || end < bbox.left);
                return row < 0 || left + width > right + 1 ? null : { text, left, row, end: left + width };
            };
            // The number alone, where the name has no room; the table of faults tells the rest.
            const label = place(at + 1 + " " + fault.what) || place(String(at + 1)) || { text: String(at + 1), left: x, row: 0, end: x };
            taken[label.row] = Math.max(taken[label.row], label.end);
            placed.push({ ...label, x, y: bbox.top - (rowsOfMarks - label.row) * 14 * ratio + 5 * ratio });
            marks += 1;
        });
        ctx.fillStyle = color("fault");
        for (const { x, y } of placed) ctx.fillRect(x - ratio / 2, y + 7 * ratio, ratio, Math.max(0, bbox.top - y - 7 * ratio));
        // The line to a mark in a row above does not cross the name of another.
        for (const { text, left, end, y } of placed) {
            ctx.fillStyle = color("card");
            ctx.fillRect(left - ratio, y - 6 * ratio, end - left + 2 * ratio, 12 * ratio);
            ctx.fillStyle = color("fault");
            ctx.fillText(text, left, y);
        }
        ctx.restore();
        u.root.closest("[data-chart]").dataset.marks = marks;
    };

    const columns = (chart) => {
        const values = chart.series.map((it) => it.values);
        if (chart.kind !== "stack") return values;
        const sum = new Array(data.time.length).fill(0);
        return values.map((column) => column.map((v, at) => (sum[at] += v || 0)));
    };
    const decades = (u, min, max) => {
        if (min == null || !(min > 0)) return [0.1, 1000];
        const low = Math.floor(Math.log10(min) + 1e-9), high = Math.ceil(Math.log10(max) - 1e-9);
        return [10 ** low, 10 ** (high > low ? high : low + 1)];
    };
    const build = (chart, place) => {
        const isCurve = chart.kind === "curve", isStack = chart.kind === "stack";
        const isLog = isCurve || chart.kind === "log";
        const ink = { stroke: () => color("soft"), font: "12px " + getComputedStyle(document.body).fontFamily };
        const isDecade = (v) => v != null && Number.isInteger(+Math.log10(v).toFixed(6));
        // On a logarithmic scale only each step has a line.
        const lines = (logarithmic) => {
            const line = { stroke: () => color("grid"), width: 1, filter: (u, at) => (logarithmic ? at.map((v) => (isDecade(v) ? v : null)) : at) };
            return { grid: line, ticks: { ...line, size: 4 } };
        };
        const series = chart.series.map((it, at) => ({
            label: it.label,
            stroke: () => color("c-" + it.color),
            width: isStack ? 1 : 2,
            dash: it.is_dashed ? [6, 4] : undefined,
            fill: isStack ? () => color("c-" + it.color) + "c0" : it.is_filled ? () => color("c-" + it.color) + "38" : undefined,
            points: isStack || isCurve ? { show: false } : { size: 5, width: 1, fill: () => color("c-" + it.color) },
            spanGaps: false,
            value: (u, v, s, i) => (i == null ? "" : figure(it.values[i])),
        }));
        const x = isCurve ? chart.x : data.time;
        const shown = columns(chart);
        // The highest area is painted first, so that each covers what is below it.
        const order = shown.map((_, at) => at);
        if (isStack) order.reverse();
        return new uPlot({
            width: place.clientWidth,
            height: Math.max(240, Math.min(320, Math.round(place.clientWidth * 0.5))),
            padding: [isCurve || !rowsOfMarks ? 12 : 10 + 14 * rowsOfMarks, 14, 0, 0],
            cursor: { sync: isCurve ? undefined : { key: "time" }, drag: { x: true, y: false }, points: { size: 7 } },
            legend: { markers: { width: 0, fill: (u, at) => (at ? color("c-" + chart.series[order[at - 1]].color) : null) } },
            scales: {
                x: { time: false, distr: isCurve ? 3 : 1, log: 10, range: (u, min, max) => (isCurve ? [1, Math.max(10, max || 10)] : min === max ? [min, max + 1] : [min, max]) },
                y: { distr: isLog ? 3 : 1, log: 10, range: isLog ? decades : (u, min, max) => [0, max > 0 ? max * 1.08 : 1] },
            },
            axes: [
                { ...ink, ...lines(isCurve), size: 30, space: isCurve ? 44 : 56, incrs: isCurve ? undefined : [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200],
                    values: (u, at) => at.map((v) => (v == null ? "" : isCurve ? (isDecade(v) ? percentile(v) : "") : clock(v))) },
                { ...ink, ...lines(isLog), size: 54, label: chart.unit, labelSize: 18, labelFont: ink.font, labelGap: 0,
                    values: (u, at) => at.map((v) => (isLog && !isDecade(v) ? "" : short(v))) },
            ],
            series: [
                { label: isCurve ? "percentile" : "second", value: (u, v) => (v == null ? "" : isCurve ? percentile(v) : clock(v)) },
                ...order.map((at) => series[at]),
            ],
            hooks: isCurve ? {} : { drawAxes: [bands], draw: [labels] },
        }, [x, ...order.map((at) => shown[at])], place);
    };

    const table = (chart) => {
        const isCurve = chart.kind === "curve", x = isCurve ? chart.x : data.time;
        const cell = (name, text) => {
            const it = document.createElement(name);
            it.textContent = text;
            return it;
        };
        const row = (name, texts) => {
            const it = document.createElement("tr");
            it.append(...texts.map((text) => cell(name, text)));
            return it;
        };
        const it = document.createElement("table"), head = document.createElement("thead"), body = document.createElement("tbody");
        it.className = "figures";
        const marked = !isCurve && data.faults.length > 0;
        head.append(row("th", [isCurve ? "percentile" : "second", ...chart.series.map((s) => s.label), ...(marked ? ["faults"] : [])]));
        x.forEach((at, i) => {
            const faults = data.faults.filter((f) => f.at_s < at + 1 && ends(f) >= at).map((f) => f.what).join("; ");
            body.append(row("td", [isCurve ? percentile(at) : String(at), ...chart.series.map((s) => figure(s.values[i])), ...(marked ? [faults] : [])]));
        });
        it.append(head, body);
        return it;
    };

    const tell = () => {
        root.dataset.charts = drawn.size;
        root.dataset.points = points.all;
        root.dataset.marks = Array.from(drawn.keys(), (at) => +(at.dataset.marks || 0)).reduce((a, b) => a + b, 0);
    };
    const draw = () => {
        points.all = 0;
        for (const chart of data.charts) {
            const card = document.getElementById("chart-" + chart.id), place = card.querySelector(".plot");
            if (drawn.has(card)) drawn.get(card).destroy();
            drawn.set(card, build(chart, place));
            points.all += chart.series.reduce((sum, it) => sum + it.values.filter((v) => v != null).length, 0);
        }
        // uPlot draws when this task is over.
        setTimeout(tell, 0);
    };

    draw();
    for (const chart of data.charts) {
        const details = document.querySelector("#chart-" + chart.id + " details");
        // Made when somebody asks: an hour has 3,600 lines for each chart.
        details.addEventListener("toggle", () => {
            const place = details.querySelector(".scroll");
            if (details.open && !place.firstChild) place.append(table(chart));
        });
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    addEventListener("resize", () => {
        for (const [card, u] of drawn) {
            const width = card.querySelector(".plot").clientWidth;
            if (width > 0 && width !== u.width) u.setSize({ width, height: u.height });
        }
    });
})();
