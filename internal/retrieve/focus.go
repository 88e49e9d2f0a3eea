package retrieve

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// focus is the noun that a Chinese question asks for: of 哪一家公司 it is 公司,
// of 首都为何 it is 首都. It says the kind of the answer and stands beside it.
type focus struct {
	noun  string // up to four characters
	ahead bool   // it stands before the asking phrase: an attribute, whose value is asked for
}

// stopsNoun are characters that end a noun beside an asking phrase.
const stopsNoun = "是的为在于被把将和与有及或由从对而所以并来让使向?,.!:;，。、；：《》「」“”\"'() "

// focusOf finds the noun asked for behind the asking phrase, or before it
// where nothing follows.
func focusOf(text string, at, end int) focus {
	if at < 0 {
		return focus{}
	}
	behind := []rune(unmeasured(text, end))
	n := 0
	for n < len(behind) && n < 4 && behind[n] >= 0x2E80 && !strings.ContainsRune(stopsNoun, behind[n]) {
		n++
	}
	if n > 0 {
		return focus{noun: string(behind[:n])}
	}
	before := []rune(strings.TrimRight(text[:at], "是为叫称做指即有在"))
	from := len(before)
	for from > 0 && len(before)-from < 4 && before[from-1] >= 0x2E80 && !strings.ContainsRune(stopsNoun, before[from-1]) {
		from--
	}
	return focus{noun: string(before[from:]), ahead: true}
}

// kindOf tells the kind of an answer by the noun asked for. It may have a verb
// behind it: 演员主演.
func (f focus) kindOf() Kind {
	if f.noun == "" {
		return Other
	}
	k := kindOfNoun(f.noun)
	if runes := []rune(f.noun); !f.ahead {
		for n := 3; n > 1 && k == Thing; n-- {
			k = kindOfNoun(string(runes[:min(n, len(runes))]))
		}
	}
	return k
}

func kindOfNoun(noun string) Kind {
	r, _ := utf8.DecodeLastRuneInString(noun)
	switch {
	case hasAnySuffix(noun, "时间", "日期", "年代", "时期", "年份", "世纪", "时候", "朝代", "年", "日子", "季节", "生日"):
		return Time
	case hasAnySuffix(noun, "人数", "面积", "人口", "数量", "高度", "长度", "比例", "海拔", "距离", "年龄", "温度", "速度", "价格", "金额", "分数", "次数", "比分", "产量", "总数", "身高", "体重"):
		return Quantity
	case hasAnySuffix(noun, "地点", "位置", "城市", "国家", "地区", "省份", "地方", "国", "省", "县", "州", "岛", "洲", "城", "镇", "村", "首都", "首府", "省会", "故乡", "产地", "出生地", "总部", "籍贯", "国籍", "区域", "海域", "地带"):
		return Place
	case hasAnySuffix(noun, "原因", "理由", "目的", "缘故"):
		return Reason
	case hasAnySuffix(noun, "方法", "方式", "途径", "手段", "步骤"):
		return Method
	case strings.ContainsRune("员人帝王者师家士父母子妻后臣侯", r) && !hasAnySuffix(noun, "国家", "公家", "王子", "分子", "粒子", "电子", "原子", "因子", "种子", "之后", "以后", "儿子"):
		return Person
	case hasAnySuffix(noun, "总统", "导演", "歌手", "作者", "演员", "国王", "皇帝", "将军", "首相", "教授", "总理", "主席", "校长", "市长", "会长", "院长", "团长", "队长", "部长", "学者", "球员", "教练", "选手", "女星", "男星", "领袖", "创始人", "父亲", "母亲"):
		return Person
	}
	return Thing
}

func hasAnySuffix(s string, all ...string) bool {
	return slices.ContainsFunc(all, func(w string) bool { return strings.HasSuffix(s, w) })
}
