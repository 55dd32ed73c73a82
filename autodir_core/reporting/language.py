"""The languages of a restoration's report: templates in English, and what they are in others."""

from __future__ import annotations

from ..choices import LANGUAGES

LABELS = {
    "noise": "噪点",
    "blur": "模糊",
    "rain": "雨",
    "underexposure": "欠曝光",
    "haze": "雾霾",
    "low resolution": "低分辨率",
    "raindrop": "雨滴",
    "jpeg artifact": "JPEG 压缩痕迹",
    "no": "无退化",
}
"""The Chinese of the official labels, and of the one that `degrade` has besides."""

SETTINGS = {
    "output": "输出文件",
    "device": "设备",
    "precision": "精度",
    "seed": "种子",
    "model file": "模型文件",
    "model name": "模型名称",
    "model sha256": "模型 SHA-256",
    "steps": "采样步数",
    "sampler": "采样器",
    "text guidance": "文本引导",
    "image guidance": "图像引导",
    "negative prompt": "反向提示词",
    "max rounds": "最大轮数",
    "labels": "标签",
    "prompt": "提示词",
    "scm weight": "校正权重",
    "crops": "裁剪方式",
    "min confidence": "最低置信度",
    "round height": "各轮图像的高度",
    "reduced labels": "在缩小图上复原的标签",
    "gate": "质量关卡",
    "strength": "强度",
    "order": "顺序",
    "local": "局部",
    "candidates": "候选数",
    "preset": "预设",
    "match color": "颜色匹配",
    "mask": "遮罩",
    "tile size": "分块大小",
}
"""The Chinese of the settings that a report tells, as the nodes call them; modules keep their names."""

CHINESE = {
    "round {number}: {found}": "第 {number} 轮：{found}",
    " ({others})": "（{others}）",
    ", ": "、",
    ", {part:.0f} % of its change accepted": "，采纳了变化的 {part:.0f} %",
    ", refused: {reason}": "，已拒绝：{reason}",
    "top label of {agreeing} of {crops} crops": "{crops} 个裁剪块中有 {agreeing} 个以此标签为首",
    ", {text}": "，{text}",
    ", {seconds:.1f} s": "，{seconds:.1f} 秒",
    "custom prompt": "自定义提示词",
    "the damage stayed": "退化仍在",
    "another damage rose": "另一种退化加重",
    "edges moved": "边缘改变",
    "light and colors shifted": "明暗或颜色改变",
    "done: clean": "完成：已无退化",
    "done: no improvement": "完成：无法再改善",
    "done: low confidence": "完成：把握不足",
    "; if you see it, name it: labels, or --labels on the command line": (
        "；若您看到这种退化，请指明：标签，命令行为 --labels"
    ),
    "stopped: limit of {count} round reached": "停止：已达到 {count} 轮的上限",
    "stopped: limit of {count} rounds reached": "停止：已达到 {count} 轮的上限",
    "done: no label left": "完成：没有剩余的标签",
    "done: custom prompt": "完成：自定义提示词",
    "done: the mask is empty, nothing was to be restored": "完成：蒙版为空，没有需要复原的区域",
    "inside the mask only, {part:.0f} % of the picture; the rest is the input": (
        "仅限蒙版内，占图像的 {part:.0f} %；其余部分与输入相同"
    ),
    "preset {preset}: {name} {used}; {given} counts with custom only": (
        "预设 {preset}：{name} 为 {used}；{given} 仅在 custom 时有效"
    ),
    "picture {number}": "图像 {number}",
    "one decision for all {count} pictures, made on picture {number}": (
        "{count} 张图像共用一个决定，由第 {number} 张图像得出"
    ),
    "Restoration of {name}": "{name} 的复原",
    "Before and after": "复原前后",
    "Drag the corner at the edge of the left part.": "拖动左半部分边缘的角来比较。",
    "before": "复原前",
    "after": "复原后",
    "refused, not used": "已拒绝，未采用",
    "the picture after it": "这一轮之后的图像",
    "picture of round {number}": "第 {number} 轮的图像",
    "Last assessment": "最后一次评估",
    "Probabilities": "概率",
    "Probabilities, among the named labels only": "概率，仅在所列标签之间比较",
    "Settings": "设置",
    "Quality gate": "质量关卡",
    "accepted": "是否采纳",
    "{part:.0f} % of the change": "变化的 {part:.0f} %",
    "no: {reason}": "否：{reason}",
    "damage removed": "退化去除",
    "edges kept (correlation)": "边缘保持（相关系数）",
    "light shifted (RMS)": "明暗改变（均方根）",
}
"""The Chinese of every template; a test finds those that the reports use."""


def phrase(language: str, template: str, **values: object) -> str:
    """Return a template, filled in, in one of `LANGUAGES`; InputError for another language."""
    chosen = template if LANGUAGES.check(language) == "en" else CHINESE[template]
    return chosen.format(**values)


def label_name(label: str, language: str) -> str:
    """Return a label as readers of a language know it, the model's own name beside it; others as they are."""
    return f"{LABELS[label]} {label}" if language == "zh" and label in LABELS else label


def setting_name(name: str, language: str) -> str:
    """Return the name of a setting as readers of a language know it; those of modules and other ones as they are."""
    return SETTINGS.get(name, name) if language == "zh" else name
